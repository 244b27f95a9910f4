"""The cost of a run's cluster: recorded after a good run, reported after a failure.

It is also reported when the cluster is kept.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.emr.costs import cluster_nodes, find_prices, hour_of_cluster, money, used
from car_rental.runs.run import Run
from car_rental.state_machine.executions import clusters_of, describe


def record_cost(run: Run, cluster_id: str) -> None:
    """Records the instance hours and the price of a cluster.

    A cluster on this machine costs nothing.
    """
    if run.aws.settings.is_local:
        return
    try:
        usage = used(run.aws, cluster_id)
    except (ClientError, BotoCoreError) as error:  # the run itself succeeded
        run.console.warn(f"The cost of the cluster cannot be determined: {error}")
    else:
        run.record.record_usage(usage)
        run.usage = usage


def report_cost_after_failure(run: Run) -> None:
    """Reports the cost of the clusters so far.

    Raises nothing: the earlier failure is the one to report.
    """
    try:
        for cluster_id in _clusters(run):
            record_cost(run, cluster_id)
            if run.usage:
                run.console.note(f"cluster {cluster_id} has used so far: {run.usage.summary()}")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the first failure is raised
        run.console.warn(f"The cost of the run cannot be determined: {str(error) or 'interrupted'}")


def report_kept_cluster(run: Run, cluster_id: str) -> None:
    """Says how long a cluster is kept and what an hour of it costs."""
    if run.aws.settings.is_local:
        run.console.warn(f"Cluster {cluster_id} is kept as long as the local AWS runs.")
        return
    hour = hour_of_cluster(run.aws.settings, find_prices(run.aws, cluster_nodes(run.aws.settings)))
    idle = run.aws.settings.emr_idle_timeout_seconds // 60
    run.console.warn(f"Cluster {cluster_id} is kept. On AWS an hour of it costs: {money(hour)}")
    run.console.warn(
        f"It ends after {idle} idle minutes, or: python scripts/terminate_emr_cluster.py"
        f" --cluster-id {cluster_id}"
    )


def _clusters(run: Run) -> list[str]:
    """The clusters on AWS that the run, or its execution of the state machine, has created."""
    if run.aws.settings.is_local:
        return []
    if "execution_arn" in run.record.ids:
        execution = describe(run.aws, run.record.ids["execution_arn"])
        clusters = clusters_of(
            run.aws, execution["executionArn"], execution["startDate"], active_only=False
        )
        return [str(cluster["Id"]) for cluster in clusters]
    return [run.record.ids["cluster_id"]] if "cluster_id" in run.record.ids else []
