"""The state machine's diagram shows the main states, on paths that the definition has."""

from __future__ import annotations

from documents.state_diagram import MAIN_STATES, state_machine

LINES = [line.strip() for line in state_machine().splitlines()]


def test_the_diagram_shows_every_main_state():
    drawn = " ".join(LINES).split()
    assert [name for name in MAIN_STATES if name not in drawn] == []


def test_the_diagram_connects_main_states_across_polls_and_retries():
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


def test_the_diagram_leads_a_failure_with_a_cluster_to_its_termination():
    assert "Work --> TerminateAfterFailure: fails" in LINES
    assert "TerminateAfterFailure --> PipelineFailed" in LINES
