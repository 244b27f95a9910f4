"""The probable cause of a failed step is found in logs as Spark writes them."""

from car_rental.emr.step_logs import find_cause

TRACEBACK = """24/05/01 12:00:00 INFO SparkContext: Running Spark version 3.5.6
Traceback (most recent call last):
  File "/mnt/tmp/spark-1/clean_rentals.py", line 12, in <module>
    main()
  File "/mnt/tmp/spark-1/clean_rentals.py", line 7, in main
    spark.read.csv(path)
pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/raw.
24/05/01 12:00:01 INFO ShutdownHookManager: Shutdown hook called
"""


def test_the_error_line_of_a_job_is_the_cause():
    text = "INFO x\nERROR clean_rentals: users.csv lacks the column email\n" + TRACEBACK
    assert find_cause(text) == ("ERROR clean_rentals: users.csv lacks the column email", ())


def test_the_cause_of_a_python_traceback_is_its_error_with_the_last_frames():
    headline, lines = find_cause(TRACEBACK)
    assert headline.endswith("AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/raw.")
    assert lines[-2:] == (
        '  File "/mnt/tmp/spark-1/clean_rentals.py", line 7, in main',
        "    spark.read.csv(path)",
    )


def test_the_cause_of_nested_java_exceptions_is_the_innermost():
    text = (
        'Exception in thread "main" org.apache.spark.SparkException: Job aborted\n\tat'
        " x.y(Z.java:1)\nCaused by: java.io.IOException: Broken pipe\n\tat a.b(C.java:2)\n"
    )
    assert find_cause(text) == ("Caused by: java.io.IOException: Broken pipe", ())


def test_a_log_without_an_error_has_no_cause():
    assert find_cause("24/05/01 12:00:00 INFO all is well\n") is None


def test_a_full_disk_is_the_cause_before_any_traceback():
    text = (
        "Traceback (most recent call last):\n  File\npy4j.Py4JJavaError: o2\njava.io.IOException:"
        " No space left on device\n"
    )
    assert find_cause(text)[0].startswith("no space left on the disk")
