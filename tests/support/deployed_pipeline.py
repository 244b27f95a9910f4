"""A project whose state machine is deployed on the stand-in, with trivial Spark jobs."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from car_rental.aws import Aws
from car_rental.config import Settings, load_settings
from car_rental.data_contract import job_files
from car_rental.display.console import Console
from car_rental.emr.clusters import ENDED
from car_rental.emr.spark_outcomes import SUMMARY_KEY
from car_rental.emr.spark_steps import JOBS, ONE_APPLICATION
from car_rental.s3.lake_bucket import ensure_bucket
from car_rental.state_machine.definition import definition, state_machine_arn
from car_rental.state_machine.executions import clusters_of
from contract import KPI_TABLES as TABLES
from deploy_step_functions import deploy_step_functions
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import setup_iam_roles
from support.polling import until

GOOD = "print('all is well')"
BAD = "raise RuntimeError('the job fails on purpose')"
SLOW = "import time; time.sleep(120)"
# the counts that the real jobs would have written
SUMMARY = {
    "status": "published",
    "rentals": {"read": 3, "kept": 2, "rejected": 1},
    "tables": {"user_metrics": {"rows": 2}},
}

States = dict[str, dict[str, Any]]
_run_numbers = itertools.count(1)


@dataclass
class Pipeline:
    """A deployed project, and the operations that its tests need."""

    settings: Settings
    aws: Aws
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    @property
    def console(self) -> Console:
        return Console(self.out, self.err)

    def put_jobs(self, **sources: str) -> None:
        """Uploads trivial jobs in place of the real ones; jobs that are not named succeed."""
        s3 = self.aws.client("s3")
        for path in job_files():
            source = sources.get(path.stem, GOOD if path.stem in (*JOBS, ONE_APPLICATION) else "")
            s3.put_object(
                Bucket=self.settings.s3_bucket_name, Key=f"jobs/{path.name}", Body=source.encode()
            )

    def write_run(self, *tables: str) -> str:
        """Writes one row to each of ``tables`` as a new run, and returns the run's id."""
        run_id = f"0-{next(_run_numbers):04d}"  # sorts before the run ids that tests choose
        buffer = io.BytesIO()
        pq.write_table(pa.table({"rentals": [1]}), buffer)
        objects = {
            f"processed/{table}/run_id={run_id}/part-0.parquet": buffer.getvalue()
            for table in tables
        }
        objects[SUMMARY_KEY.format(run_id=run_id)] = json.dumps(
            {"run_id": run_id, **SUMMARY}
        ).encode()
        for key, body in objects.items():
            self.aws.client("s3").put_object(
                Bucket=self.settings.s3_bucket_name, Key=key, Body=body
            )
        return run_id

    def deploy_definition(self, *changes: Callable[[dict[str, Any]], object]) -> None:
        """Updates the state machine with the project's definition after applying ``changes``."""
        machine = definition(self.settings, self.aws.tag_list, self.aws.partition)
        for change in changes:
            change(machine)
        self.aws.client("stepfunctions").update_state_machine(
            stateMachineArn=state_machine_arn(self.aws), definition=json.dumps(machine)
        )

    def with_settings(self, **settings: Any) -> Pipeline:
        """The same project with other settings; nothing is deployed."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **settings))

    def start(self, run_id: str | None = None) -> str:
        """Starts an execution and returns its ARN."""
        execution_input = json.dumps({"run_id": run_id} if run_id else {})
        started = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=state_machine_arn(self.aws), input=execution_input
        )
        return str(started["executionArn"])

    def describe(self, execution: str) -> dict[str, Any]:
        described: dict[str, Any] = self.aws.client("stepfunctions").describe_execution(
            executionArn=execution
        )
        return described

    def finish(self, execution: str) -> dict[str, Any]:
        """Waits for the end of the execution and returns its description."""
        return until(
            lambda: self.describe(execution),
            lambda described: described["status"] != "RUNNING",
            120,
        )

    def wait_for_step(self, execution: str, name: str) -> None:
        """Waits until a step of that name runs on the execution's cluster."""
        until(lambda: self.steps(execution).get(name), lambda state: state == "RUNNING", 60)

    def clusters(self, execution: str) -> list[dict[str, Any]]:
        """All clusters that the execution created."""
        return clusters_of(
            self.aws, execution, self.describe(execution)["startDate"], active_only=False
        )

    def steps(self, execution: str) -> dict[str, str]:
        """The states of the execution's steps by name."""
        emr = self.aws.client("emr")
        listed = [
            step
            for cluster in self.clusters(execution)
            for step in emr.list_steps(ClusterId=cluster["Id"])["Steps"]
        ]
        return {step["Name"]: step["Status"]["State"] for step in listed}

    def clusters_left_running(self, execution: str) -> list[str]:
        """The ids of the execution's clusters that have not ended after a minute."""

        def running() -> list[str]:
            clusters = self.clusters(execution)
            return [item["Id"] for item in clusters if item["Status"]["State"] not in ENDED]

        return until(running, lambda ids: not ids, 60)

    def published(self, run_id: str) -> set[str]:
        """The tables in which the run is registered."""
        glue, database = self.aws.client("glue"), self.settings.glue_database_name
        catalogued = {
            table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]
        }
        return {table for table in catalogued & set(TABLES) if run_id in self._runs(table)}

    def _runs(self, table: str) -> set[str]:
        listed = self.aws.client("glue").get_partitions(
            DatabaseName=self.settings.glue_database_name, TableName=table
        )
        return {partition["Values"][0] for partition in listed["Partitions"]}


def without_spark(machine: dict[str, Any]) -> None:
    """Replaces every Spark step by a Pass state, for tests of the states after them."""
    for states in _machines(machine):
        for name in [
            name
            for name, state in states.items()
            if state.get("Resource", "").endswith("addStep.sync")
        ]:
            transition = {key: states[name][key] for key in ("Next", "End") if key in states[name]}
            states[name] = {
                "Type": "Pass",
                **({} if "End" in transition else {"ResultPath": None}),
                **transition,
            }
            helper_states = (
                "{}TookTooLong",
                "{}IsThrottled",
                "Count{}Refusal",
                "PauseBefore{}",
                "{}Refused",
            )
            for name_format in helper_states:
                del states[name_format.format(name)]


def _machines(machine: dict[str, Any]) -> list[States]:
    states: States = machine["States"]
    inner = [branch for state in states.values() for branch in state.get("Branches", [])]
    return [
        states,
        *(states_of_branch for branch in inner for states_of_branch in _machines(branch)),
    ]


def deployed(url: str, environment: str, folder: Path) -> Pipeline:
    """A project after its setup phase, on the stand-in at ``url``."""
    empty = folder / "empty.env"
    empty.touch()
    settings = load_settings(
        {}, empty, {"AWS_ENDPOINT_URL": url, "ENVIRONMENT": environment, "DATA_DIR": str(folder)}
    )
    pipeline = Pipeline(settings, Aws(settings))
    setup_iam_roles(pipeline.aws, pipeline.console, file=folder / "iam_roles.json")
    ensure_bucket(pipeline.aws)
    setup_glue_crawlers(pipeline.aws, pipeline.console)
    deploy_step_functions(pipeline.aws, pipeline.console)
    return pipeline
