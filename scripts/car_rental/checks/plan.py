"""The plan of a run, step by step: what it would create, change or leave alone, and its price."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from car_rental.athena.named_queries import named_queries
from car_rental.aws import Aws
from car_rental.checks.findings import show
from car_rental.checks.preflight import STATE_MACHINE, preflight
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.emr.clusters import active_clusters
from car_rental.emr.costs import cluster_nodes, find_prices, price_lines
from car_rental.emr.spark_steps import JOBS, STAGES
from car_rental.glue.crawlers import crawlers
from car_rental.s3.lake_files import EnvironmentResult
from car_rental.steps import STEPS, numbers

StepFunction = Callable[..., Any]  # the function of a step script; it has the name of its step
Row = tuple[str, str]  # a thing, and its planned change


def show_plan(
    aws: Aws, console: Console, setup: Sequence[StepFunction], phases: Collection[str]
) -> None:
    """Prints the plan of ``phases``.

    ``aws`` must be a session with ``plan_only``: the ``setup`` steps then return what they would
    do.
    """
    for function in setup:
        rows = setup_rows(function(aws, console))
        console.table(STEPS[function.__name__].title, ("what", "a run would"), rows)
    runs_cluster = bool({"process", "orchestrate"} & set(phases))
    if runs_cluster:
        orchestrated = "orchestrate" in phases and "process" not in phases
        title = (
            STEPS["execute_step_functions"].title
            if orchestrated
            else f"process, {numbers('process')}"
        )
        rows = processing_rows(aws, orchestrated=orchestrated)
        console.table(title, ("what", "a run would"), rows)
    if "analyze" in phases:
        questions = (
            f"{len(named_queries())} questions in SQL",
            "ask, and write the report under reports/",
        )
        console.table(STEPS["analyze"].title, ("what", "a run would"), [questions])
    if runs_cluster:
        prices = find_prices(aws, cluster_nodes(aws.settings))
        console.table("Prices", ("what", "USD, before tax"), price_lines(aws.settings, prices))
        console.note(f"instance prices: {prices.source}")
    if "setup" in phases:
        show(preflight(aws, local=False, checks=[STATE_MACHINE]), console)
    console.note("nothing was changed")


def setup_rows(result: Any) -> list[Row]:
    """The planned changes of a setup step's result."""
    rows = [(change.resource, change.planned) for change in result.changes]
    if isinstance(result, EnvironmentResult):
        files = f"send {result.uploads.sent}, leave {result.uploads.skipped} as they are"
        rows.append(("raw data and Spark jobs", files))
    return rows


def processing_rows(aws: Aws, *, orchestrated: bool = False) -> list[Row]:
    """The plan of steps 5 to 8, or of the state machine in their place."""
    settings = aws.settings
    active = active_clusters(aws)
    nodes = " + ".join(f"{count} {name}" for name, count in cluster_nodes(settings).items())
    rows = [
        (f"cluster {cluster['Id']}", "refuse to run beside it: it is active") for cluster in active
    ]
    return [
        *(
            rows
            or [
                (
                    f"cluster {settings.emr_cluster_name}: {nodes}, {settings.emr_release_label}",
                    "create",
                )
            ]
        ),
        (f"Spark jobs {', '.join(JOBS)}", _how_jobs_run(settings, orchestrated)),
        *(
            (f"crawler {crawler.name}", f"run: shows the run in {len(crawler.tables)} tables")
            for crawler in crawlers(settings)
        ),
        ("the cluster", "terminate, whatever happens before"),
    ]


def _how_jobs_run(settings: Settings, orchestrated: bool) -> str:
    if (settings.is_local and not orchestrated) or settings.emr_one_application:
        return "run in one step"
    return f"run in {len(STAGES)} stages"
