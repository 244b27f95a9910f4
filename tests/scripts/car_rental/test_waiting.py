"""Waiting: known states only, a resumable deadline, progress at every poll, throttling survived."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from car_rental.errors import DataLakeError, ExitStatus, StillRunning
from car_rental.waiting import Pace, States, Wait, wait_until

STATES = States(
    going=frozenset({"PENDING", "RUNNING"}),
    good=frozenset({"COMPLETED"}),
    bad=frozenset({"FAILED"}),
)


class Clock:
    """A clock that only advances in `sleep`."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, poll=10.0, deadline=60.0):
        return Pace(poll, deadline, clock=lambda: self.now, sleep=self.sleep)


def waiting_for(poll_results, **changes):
    poll_results = iter(poll_results)

    def describe():
        poll_result = next(poll_results)
        if isinstance(poll_result, Exception):
            raise poll_result
        return poll_result

    arguments = {
        "what": "step s-1",
        "describe": describe,
        "state": str,
        "states": STATES,
        "explain": lambda state: DataLakeError("step s-1", f"ended {state}"),
        "resume": "look again",
    }
    return Wait(**{**arguments, **changes})


def test_waiting_returns_the_description_in_the_good_state_and_shows_every_poll():
    clock, progress = Clock(), []
    result = wait_until(
        waiting_for(["PENDING", "RUNNING", "COMPLETED"]),
        clock.pace(),
        lambda *poll_result: progress.append(poll_result),
    )
    assert result == "COMPLETED"
    assert progress == [
        ("step s-1", "PENDING", 0.0),
        ("step s-1", "RUNNING", 10.0),
        ("step s-1", "COMPLETED", 20.0),
    ]


def test_a_failed_state_raises_its_explanation():
    with pytest.raises(DataLakeError, match="ended FAILED"):
        wait_until(waiting_for(["RUNNING", "FAILED"]), Clock().pace(), lambda *_: None)


def test_an_unknown_state_raises_an_error():
    with pytest.raises(DataLakeError, match="INTERRUPTED, which this program does not know"):
        wait_until(waiting_for(["INTERRUPTED"]), Clock().pace(), lambda *_: None)


def test_a_passed_deadline_says_how_to_resume():
    clock = Clock()
    with pytest.raises(
        StillRunning, match="is still running after 1 minutes.*look again"
    ) as caught:
        wait_until(waiting_for(["RUNNING"] * 99), clock.pace(), lambda *_: None)
    assert caught.value.exit_status == ExitStatus.STILL_RUNNING
    assert sum(clock.slept) == 60.0


def test_the_last_pause_ends_at_the_deadline():
    clock = Clock()
    with pytest.raises(StillRunning):
        wait_until(waiting_for(["RUNNING"] * 99), clock.pace(poll=50.0), lambda *_: None)
    assert clock.slept == [50.0, 10.0]


@pytest.mark.parametrize(
    "trouble",
    [
        ClientError(
            {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "DescribeStep"
        ),
        EndpointConnectionError(endpoint_url="https://elasticmapreduce.us-east-1.amazonaws.com/"),
    ],
)
def test_a_throttled_or_failed_poll_is_repeated(trouble):
    assert (
        wait_until(waiting_for([trouble, "COMPLETED"]), Clock().pace(), lambda *_: None)
        == "COMPLETED"
    )


def test_an_unreachable_local_aws_is_raised_at_once():
    with pytest.raises(EndpointConnectionError):
        wait_until(
            waiting_for([EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")]),
            Clock().pace(),
            lambda *_: None,
        )


def test_a_throttled_call_for_the_display_is_ignored():
    answers = iter(
        [
            ClientError({"Error": {"Code": "ThrottlingException"}}, "GetExecutionHistory"),
            "all is well",
        ]
    )

    def show(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    progress = []
    wait_until(
        waiting_for(["COMPLETED"] * 2, show=show),
        Clock().pace(),
        lambda *poll_result: progress.append(poll_result[1]),
    )
    assert progress == ["all is well"]


def test_any_other_error_is_raised():
    denial = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeStep"
    )
    with pytest.raises(ClientError):
        wait_until(waiting_for([denial, "COMPLETED"]), Clock().pace(), lambda *_: None)


def test_ctrl_c_is_raised():
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_until(
            waiting_for(["RUNNING"] * 2),
            Pace(1, 10, clock=lambda: 0.0, sleep=interrupt),
            lambda *_: None,
        )


def test_the_display_can_show_more_than_the_state():
    progress = []
    wait_until(
        waiting_for(["COMPLETED"], show=lambda _: "both COMPLETED"),
        Clock().pace(),
        lambda *poll_result: progress.append(poll_result[1]),
    )
    assert progress == ["both COMPLETED"]
