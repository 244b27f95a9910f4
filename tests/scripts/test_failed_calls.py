"""Each AWS call of each step, denied and throttled: message, remedy and exit code.

The calls are recorded once from a run of every step against the local AWS (``STEPS``), and then
played back with one of them failing. ``CALLS`` lists them, so that each has its own test;
``test_the_list_of_calls_is_complete`` compares the list with the recording.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import analyze as analyze_script
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import run_spark_jobs as spark_script
from car_rental import cli
from car_rental.athena.client import Athena
from car_rental.aws import Aws
from car_rental.cleanup.teardown import teardown
from car_rental.config import Settings, load_settings
from car_rental.display.console import Console
from car_rental.emr.spark_outcomes import SUMMARY_KEY
from car_rental.emr.spark_steps import spark_step
from car_rental.errors import ExitStatus
from car_rental.sample.generator import generate
from car_rental.timing import ON_THIS_MACHINE
from contract import KPI_TABLES as TABLES
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from execute_step_functions import execute_step_functions
from run_glue_crawlers import run_glue_crawlers
from run_spark_jobs import run_spark_jobs
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import setup_iam_roles
from support.deployed_pipeline import Pipeline, without_spark
from support.recorded_calls import Playback, Recording
from terminate_emr_cluster import terminate_emr_cluster

CALLS = json.loads(Path(__file__).with_name("aws_calls.json").read_text(encoding="utf-8"))
RUN = "2026-11-23T03-20-06.123Z"
# polls: a throttled one is repeated at the next interval
POLLS = {
    *("emr:DescribeCluster", "emr:ListSteps", "glue:GetCrawler", "athena:GetQueryExecution"),
    *("stepfunctions:DescribeExecution", "stepfunctions:GetExecutionHistory"),
}
# requests that are repeated only after throttling
SENT_AGAIN = {"emr:RunJobFlow", "emr:AddJobFlowSteps"}
# calls that a step makes once before it polls; throttling fails the step there
SINGLE_CALLS = {
    *(("terminate_emr_cluster", "emr:DescribeCluster"), ("setup_glue_crawlers", "glue:GetCrawler")),
    ("execute_step_functions", "stepfunctions:DescribeExecution"),
}
# denials that are not failures: teardown reports the bucket as kept, and step 4 deploys without
# validation
TOLERATED = {
    ("tear_down", "s3:HeadBucket"),
    ("deploy_step_functions", "stepfunctions:ValidateStateMachineDefinition"),
}
DENIED = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}
THROTTLED = {
    "s3": "SlowDown",
    "iam": "Throttling",
    "lambda": "TooManyRequestsException",
    "sns": "Throttled",
}
# services whose code is AccessDenied without "Exception"
OLD_STYLE = ("s3", "iam", "sts", "cloudwatch")


def query(aws, console):
    """A query as the notebook's kernel sends it."""
    return Athena(aws).run("SELECT 1 AS one")


def tear_down(aws, console):
    return teardown(aws, console, delete_data=True, yes=True)


STEPS = {
    step.__name__: step
    for step in (
        *(
            setup_iam_roles,
            setup_aws_environment,
            setup_glue_crawlers,
            deploy_step_functions,
            create_emr_cluster,
        ),
        *(run_spark_jobs, run_glue_crawlers, analyze_script.analyze, query, terminate_emr_cluster),
        *(execute_step_functions, tear_down),
    )
}


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """Replaces the slow parts of the steps that call no AWS: Spark jobs and the notebook."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("patched")
    patch.setitem(setup_iam_roles.__kwdefaults__, "file", folder / "iam_roles.json")
    for step in (run_spark_jobs, execute_step_functions):
        patch.setitem(step.__kwdefaults__, "run_id", RUN)
    patch.setattr(analyze_script, "execute", lambda notebook, settings, console: [])
    patch.setattr(analyze_script, "render", lambda cells: "")
    patch.setattr(spark_script, "STAGES", (("job",),))
    patch.setattr(spark_script, "spark_step", trivial_step)
    yield patch
    patch.undo()


@pytest.fixture
def recordings_without_pauses(recordings, monkeypatch):
    """The recordings, with polls that do not wait."""
    monkeypatch.setattr(Settings, "timing", replace(ON_THIS_MACHINE, poll_seconds=0.0))
    return recordings


def trivial_step(settings, job, run_id, owner):
    step = spark_step(settings, "clean_rentals", run_id)
    arguments = ["spark-submit", "--deploy-mode", "client", settings.s3("jobs", "job.py")]
    return {**step, "Name": job, "HadoopJarStep": {**step["HadoopJarStep"], "Args": arguments}}


@pytest.fixture(scope="module")
def settings(stand_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "x.env").touch()
    flags = {
        "AWS_ENDPOINT_URL": stand_in.url,
        "ENVIRONMENT": "failed",
        "DATA_DIR": str(folder / "data"),
    }
    flags["REPORTS_DIR"] = str(folder / "reports")
    options = {"SCHEDULE_EXPRESSION": "rate(1 day)", "ALERT_EMAIL": "data@example.com"}
    settings = load_settings({}, folder / "x.env", {**flags, **options})
    generate(rentals=50, folder=settings.data_dir)
    return settings


@pytest.fixture(scope="module")
def recordings(patched, settings):
    """The calls of every step against the local AWS, by the step's name."""
    by_step = {}
    for name, step in STEPS.items():
        aws, by_step[name] = Aws(settings), Recording()
        by_step[name].listen_to(aws)
        step(aws, Console(io.StringIO(), io.StringIO()))
        if name == "setup_aws_environment":
            write_run(aws)
        if name == "deploy_step_functions":
            Pipeline(settings, Aws(settings)).deploy_definition(without_spark)
    return by_step


def write_run(aws):
    """Uploads a job that does nothing, and the files that a real run leaves."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"total_revenue": [1]}), stream)
    files = {
        f"processed/{table}/run_id={RUN}/part-0.parquet": stream.getvalue() for table in TABLES
    }
    files |= {"jobs/job.py": b"print('well')", SUMMARY_KEY.format(run_id=RUN): b"{}"}
    s3 = Aws(aws.settings).client("s3")
    for key, content in files.items():
        s3.put_object(Bucket=aws.settings.s3_bucket_name, Key=key, Body=content)


def test_the_list_of_calls_is_complete(recordings):
    assert {
        step: sorted({call.name for call in calls}) for step, calls in recordings.items()
    } == CALLS


SESSIONS: dict[str, Aws] = {}


def play_back(recordings, settings, step, call, code):
    """Plays ``step`` back with ``call`` failing; returns exit code, stderr and the calls made."""
    status = (
        403 if code in ("403", *DENIED.values(), "AccessDenied", "AccessDeniedException") else 400
    )
    err, playback = io.StringIO(), Playback(recordings[step], call, code, status)
    aws = SESSIONS.setdefault(step, Aws(settings))
    vars(aws).pop("account_id", None)  # read once per session
    with playback.answering(aws):
        exit_code = cli.guard(
            step, False, Console(io.StringIO(), err), lambda console: STEPS[step](aws, console)
        )
    return exit_code, err.getvalue(), playback.done


each_call = pytest.mark.parametrize(
    ("step", "call"), [(step, call) for step, calls in CALLS.items() for call in calls]
)


def is_explained(text, call, code):
    """Tells whether a message has the place, AWS's error and a remedy."""
    operation = call.split(":")[1]
    return "FAILED " in text and (operation in text or code in text) and "-> " in text


@each_call
def test_a_denied_call_fails_the_step_with_an_explanation(
    recordings_without_pauses, settings, step, call
):
    service, operation = call.split(":")
    code = DENIED.get(service, "AccessDenied" if service in OLD_STYLE else "AccessDeniedException")
    if operation.startswith("Head"):
        code = "403"  # a HEAD response has no body and so no other code
    exit_code, text, calls = play_back(recordings_without_pauses, settings, step, call, code)
    tolerated = (step, call) in TOLERATED
    assert exit_code == (ExitStatus.OK if tolerated else ExitStatus.FAILED), text
    assert tolerated or is_explained(text, call, code), text
    if (
        step == "execute_step_functions"
        and "stepfunctions:StartExecution" in calls
        and call in POLLS
    ):
        assert "goes on: python scripts/execute_step_functions.py --execution-arn arn:" in text
    if step == "create_emr_cluster" and "emr:RunJobFlow" in calls and call != "emr:RunJobFlow":
        assert "emr:TerminateJobFlows" in calls, "the cluster was not terminated"


@each_call
def test_a_call_that_stays_throttled_fails_the_step_unless_it_is_a_poll(
    recordings_without_pauses, settings, step, call
):
    service = call.split(":")[0]
    code = THROTTLED.get(service, "ThrottlingException")
    exit_code, text, _ = play_back(recordings_without_pauses, settings, step, call, code)
    if exit_code == ExitStatus.OK:
        assert call in POLLS | SENT_AGAIN and (step, call) not in SINGLE_CALLS, (
            "a failure ended with exit code 0"
        )
        return
    assert exit_code == ExitStatus.FAILED and is_explained(text, call, code), text


def test_every_step_succeeds_when_played_back_without_an_error(recordings_without_pauses, settings):
    for step in STEPS:
        exit_code, text, _ = play_back(recordings_without_pauses, settings, step, "", "")
        assert exit_code == ExitStatus.OK, f"{step}: {text}"


# --- the requests themselves


def wrong_values(shape, value, where):
    """Parts of ``value`` that break the service's model although botocore would send them.

    They are unknown enumeration values, exceeded limits and wrong types.
    """
    if shape.type_name == "structure":
        for name, part in value.items():
            yield from wrong_values(shape.members[name], part, f"{where}.{name}")
    elif shape.type_name == "list":
        for part in value:
            yield from wrong_values(shape.member, part, f"{where}[]")
    elif shape.type_name == "map":
        for part in value.values():
            yield from wrong_values(shape.value, part, f"{where}{{}}")
    elif getattr(shape, "enum", []) and value not in shape.enum:
        yield f"{where}: {value!r} is none of {shape.enum}"
    limit = shape.metadata.get("max")
    size = (
        value
        if shape.type_name in ("integer", "long", "float", "double")
        else len(value)
        if hasattr(value, "__len__")
        else 0
    )
    if limit is not None and size > limit:
        yield f"{where}: more than {limit}"


def test_every_request_fits_the_service_s_model(recordings):
    wrong = [
        problem
        for calls in recordings.values()
        for call in calls
        if call.shape
        for problem in wrong_values(call.shape, call.parameters, call.name)
    ]
    assert wrong == []


def test_the_model_check_finds_wrong_values(recordings):
    call = next(
        call for call in recordings["setup_glue_crawlers"] if call.name == "glue:CreateCrawler"
    )
    changed = {
        **call.parameters,
        "SchemaChangePolicy": {"UpdateBehavior": "SOMETIMES"},
        "Name": "x" * 300,
    }
    assert len(list(wrong_values(call.shape, changed, "glue:CreateCrawler"))) == 2
