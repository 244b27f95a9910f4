"""The cause of a failure is found in a step's logs."""

from __future__ import annotations

import pytest

from local_aws.emr.step_logs import DriverOutput

TRACEBACK = """before
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    main()
{error}
\tat org.apache.spark.X
"""


@pytest.mark.parametrize(
    ("stdout", "stderr", "cause"),
    [
        (
            TRACEBACK.format(error="ValueError: no rows"),
            "INFO x\n",
            ("ValueError: no rows", "stdout"),
        ),
        ("", TRACEBACK.format(error="KeyError: 'a'"), ("KeyError: 'a'", "stderr")),
        (
            TRACEBACK.format(error="KeyError: 1")
            + "During handling of the above exception\n"
            + TRACEBACK.format(error="OSError: 2"),
            "",
            ("OSError: 2", "stdout"),
        ),
        (
            "",
            (
                'Exception in thread "main" java.io.FileNotFoundException: File x.py does not'
                " exist\n\tat a.b\nINFO bye\n"
            ),
            ("java.io.FileNotFoundException: File x.py does not exist", "stderr"),
        ),
        ("", "INFO a\nlast words\n\n", ("last words", "stderr")),
        ("", "", ("", "stderr")),
    ],
)
def test_the_cause_is_the_last_error_line(stdout: str, stderr: str, cause: tuple[str, str]) -> None:
    assert DriverOutput(stdout, stderr).cause() == cause


def test_a_missing_bucket_gets_s3_s_message() -> None:
    hadoop = (
        "java.io.IOException: Could not initialize target File System for URI : s3://gone-bucket/"
    )
    output = DriverOutput(
        TRACEBACK.format(error=f"py4j.Py4JJavaError: An error\n: {hadoop}"), "INFO\n"
    ).with_aws_errors()
    assert "NoSuchBucket; Bucket: gone-bucket" in output.stderr
    assert "NoSuchBucket; Bucket: gone-bucket" in output.cause()[0]


def test_output_without_a_missing_bucket_is_unchanged() -> None:
    assert DriverOutput("a", "b").with_aws_errors() == DriverOutput("a", "b")
