"""The steps of a run: those that it does, and those that the board shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from car_rental.steps import PHASES, STEPS, Step


def steps_to_run(
    chosen: Sequence[str], first: str | None, *, keep_cluster: bool, has_cluster: bool
) -> list[str]:
    """The names of the steps of the ``chosen`` phases, beginning with the step ``first``.

    ``has_cluster``: an earlier run has left a cluster that the Spark jobs can use, so no new one is
    created.
    """
    if first == "run_spark_jobs" and not has_cluster:
        first = "create_emr_cluster"
    begin = STEPS[first].number if first else 1
    names = [name for phase in chosen for name in PHASES[phase] if STEPS[name].number >= begin]
    if keep_cluster or "run_spark_jobs" not in names:
        names = [name for name in names if name != "terminate_emr_cluster"]
    return names


def shown_on_board(steps: Collection[str], chosen: Sequence[str]) -> list[Step]:
    """The steps of the chosen phases, including those that --from leaves out.

    A termination that will not happen is not shown.
    """
    names = [name for phase in chosen for name in PHASES[phase]]
    return [STEPS[name] for name in names if name in steps or name != "terminate_emr_cluster"]
