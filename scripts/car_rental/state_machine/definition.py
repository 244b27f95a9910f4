"""The definition of the state machine, with all placeholders filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from car_rental.aws import Aws
from car_rental.config import ROOT, Settings
from car_rental.data_contract import contract
from car_rental.emr.cluster_request import LOG_PREFIX, cluster_request
from car_rental.emr.spark_steps import JOBS, ONE_APPLICATION, STAGES, spark_step
from car_rental.glue.crawlers import crawlers
from car_rental.s3.lake_lock import LOCK_KEY, NEWEST_PREFIX

DEFINITION = ROOT / "step_functions" / "data_pipeline.asl.json"
EXECUTION_TAG = "Execution"  # a tag of the cluster with the ARN of the execution that created it
IF_MATCH = "IfMatch"  # a parameter of s3:putObject since November 2024
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# paths in the definition: the run's id and the lock's owner
_RUN_ID, _OWNER = "$.Run.id", "$.Execution"
_MOST_LOOKS = 120  # polls of a starting cluster or of a crawl: an hour on AWS
# the time of an execution besides its Spark steps: start of the cluster, crawls, checks,
# termination
_REST_SECONDS = 3 * 3600


def state_machine_arn(aws: Aws) -> str:
    """The ARN of the state machine."""
    settings = aws.settings
    name = settings.step_functions_state_machine_name
    return f"arn:{aws.partition}:states:{settings.aws_region}:{aws.account_id}:stateMachine:{name}"


def execution_arn(aws: Aws, name: str) -> str:
    """The ARN of the execution ``name``."""
    return f"{state_machine_arn(aws).replace(':stateMachine:', ':execution:')}:{name}"


def definition(
    settings: Settings, tags: Sequence[dict[str, str]], partition: str
) -> dict[str, Any]:
    """The definition for these settings.

    ``tags`` are the project's tags; ``partition`` is that of the ARNs.
    """
    template = json.loads(DEFINITION.read_text(encoding="utf-8"))
    if settings.emr_one_application:
        template = _in_one_application(template)
    filled: dict[str, Any] = fill(template, _values(settings, tags, partition))
    return filled


def deployable_definition(aws: Aws) -> tuple[dict[str, Any], list[Any]]:
    """The definition to deploy, and Step Functions' objections to it (empty: it is accepted).

    Step Functions learns new parameters of a service months after the service itself. If it does
    not know S3's If-Match, the definition leaves that parameter out.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
    """
    wanted = definition(aws.settings, aws.tag_list, aws.partition)
    objections = _objections(aws, wanted)
    if not any(IF_MATCH in one["message"] for one in objections):
        return wanted, objections
    unconditional = without_if_match(wanted)
    return unconditional, _objections(aws, unconditional)


def _objections(aws: Aws, wanted: dict[str, Any]) -> list[Any]:
    validate = aws.client("stepfunctions").validate_state_machine_definition
    answer = validate(definition=json.dumps(wanted))
    if answer["result"] == "OK":
        return []
    return [one for one in answer["diagnostics"] if one["severity"] == "ERROR"] or [
        {"code": answer["result"], "message": "no reason given"}
    ]


def without_if_match(machine: Any) -> Any:
    """The definition without S3's If-Match.

    The lock is read shortly before it is taken over, but two executions can then take over the same
    dead run's lock in the same moment. The last writer owns it; `publish_run` of the other
    execution notices that and publishes nothing.
    """
    if isinstance(machine, dict):
        return {
            key: without_if_match(value) for key, value in machine.items() if key != f"{IF_MATCH}.$"
        }
    return [without_if_match(one) for one in machine] if isinstance(machine, list) else machine


def _in_one_application(template: dict[str, Any]) -> dict[str, Any]:
    """The definition with the state AllJobs in place of the jobs' stages.

    AllJobs retries and handles failures as the first stage, CleanRentals, does.
    """
    (work,) = template["States"]["Work"]["Branches"]
    states = work["States"]
    for name in [name for name in states if name == "Metrics" or "PublishRun" in name]:
        del states[name]
    del states["CleanRentals"]["Next"]
    states["CleanRentals"]["End"] = True
    new_names = {name: name.replace("CleanRentals", "AllJobs") for name in states}
    renamed: dict[str, Any] = _with_names(template, new_names)
    return renamed


def _with_names(template: Any, names: Mapping[str, str]) -> Any:
    """Renames states in ``template``: their keys, and the transitions that refer to them."""
    if isinstance(template, dict):
        return {names.get(key, key): _with_names(value, names) for key, value in template.items()}
    if isinstance(template, list):
        return [_with_names(item, names) for item in template]
    return names.get(template, template) if isinstance(template, str) else template


def _values(settings: Settings, tags: Sequence[dict[str, str]], partition: str) -> dict[str, Any]:
    """The values of the definition's placeholders."""
    (crawler,) = crawlers(settings)
    step_timeout = settings.emr_step_timeout_minutes * 60
    stages = ((ONE_APPLICATION,),) if settings.emr_one_application else STAGES
    first_job = stages[0][0]
    by_execution = {"Key": EXECUTION_TAG, "Value.$": "$$.Execution.Id"}
    return {
        "partition": partition,
        "bucket": settings.s3_bucket_name,
        "lock_key": LOCK_KEY,
        "patience_seconds": settings.timing.lock_patience_seconds,
        "newest_prefix": NEWEST_PREFIX,
        "log_uri": settings.s3(LOG_PREFIX),
        "cluster_request": cluster_request(settings, [*tags, by_execution]),
        "first_job": first_job,
        "first_step": _step(settings, first_job),
        **{job: _step(settings, job) for job in JOBS},
        "crawler": crawler.name,
        "database": settings.glue_database_name,
        "tables": list(contract.KPI_TABLES),
        "workgroup": settings.athena_workgroup,
        "poll_seconds": settings.timing.state_poll_seconds,
        "retry_seconds": settings.timing.state_retry_seconds,
        "longest_pause_seconds": settings.timing.state_pause_seconds,
        "most_looks": _MOST_LOOKS,
        "step_timeout_seconds": step_timeout,
        # longer than the sum of all timeouts inside: no Catch can handle this one
        "execution_timeout_seconds": len(stages) * step_timeout + _REST_SECONDS,
    }


def _step(settings: Settings, job: str) -> dict[str, Any]:
    """The job's step.

    Its arguments are an expression, because they contain the run's id and the lock's owner.

    Step Functions checks at deployment that ``Name`` and ``Jar`` are literals.
    """
    step = spark_step(settings, job, _RUN_ID, _OWNER)
    hadoop = dict(step["HadoopJarStep"])
    arguments = (
        argument if argument in (_RUN_ID, _OWNER) else quoted(argument)
        for argument in hadoop.pop("Args")
    )
    return {**step, "HadoopJarStep": {**hadoop, "Args.$": f"States.Array({', '.join(arguments)})"}}


def quoted(text: str) -> str:
    """``text`` as a literal of an intrinsic function: escapes ``'``, ``{``, ``}`` and ``\\``.

    https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
    """
    return "'" + re.sub(r"(['{}\\])", r"\\\1", text) + "'"


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Fills in the placeholders of ``template``.

    A string that is one placeholder becomes the value, of any type.

    Raises ``KeyError`` for a placeholder without a value.
    """
    if isinstance(template, dict):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACEHOLDER.fullmatch(template)
    if whole:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)
