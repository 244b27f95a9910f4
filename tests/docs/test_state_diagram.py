"""The diagram of the state machine: few enough states to read, and paths that the definition
has."""

from __future__ import annotations

from documents.state_diagram import MAIN_STATES, state_machine

LINES = [line.strip() for line in state_machine().splitlines()]


def test_every_main_state_is_a_state_of_the_definition():
    drawn = " ".join(LINES).split()
    assert [name for name in MAIN_STATES if name not in drawn] == []


def test_the_paths_skip_the_states_that_poll_and_retry():
    path = (
        "ReadLock",
        "LookForNewerRun",
        "CreateCluster",
        "Work",
        "TerminateCluster",
        "Publication",
        "Published",
        "[*]",
    )
    assert [
        pair for pair in zip(path, path[1:], strict=False) if " --> ".join(pair) not in LINES
    ] == []
    assert "CleanRentals --> Metrics" in LINES


def test_a_failure_while_there_is_a_cluster_leads_to_its_termination():
    assert "Work --> TerminateAfterFailure: fails" in LINES
    assert "TerminateAfterFailure --> PipelineFailed" in LINES
