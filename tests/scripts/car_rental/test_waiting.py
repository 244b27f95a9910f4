"""Waiting: known states only, a deadline that is no failure, progress at every look, throttling
survived."""

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
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, poll=10.0, deadline=60.0):
        return Pace(poll, deadline, clock=lambda: self.now, sleep=self.sleep)


def waiting_for(looks, **changes):
    looks = iter(looks)

    def describe():
        look = next(looks)
        if isinstance(look, Exception):
            raise look
        return look

    given = {
        "what": "step s-1",
        "describe": describe,
        "state": str,
        "states": STATES,
        "explain": lambda state: DataLakeError("step s-1", f"ended {state}"),
        "resume": "look again",
    }
    return Wait(**{**given, **changes})


def test_it_returns_what_was_seen_in_the_good_state_and_shows_every_look():
    clock, shown = Clock(), []
    seen = wait_until(
        waiting_for(["PENDING", "RUNNING", "COMPLETED"]),
        clock.pace(),
        lambda *look: shown.append(look),
    )
    assert seen == "COMPLETED"
    assert shown == [
        ("step s-1", "PENDING", 0.0),
        ("step s-1", "RUNNING", 10.0),
        ("step s-1", "COMPLETED", 20.0),
    ]


def test_a_bad_state_raises_its_explanation():
    with pytest.raises(DataLakeError, match="ended FAILED"):
        wait_until(waiting_for(["RUNNING", "FAILED"]), Clock().pace(), lambda *_: None)


def test_an_unknown_state_leaves_the_loop():
    with pytest.raises(DataLakeError, match="INTERRUPTED, which this program does not know"):
        wait_until(waiting_for(["INTERRUPTED"]), Clock().pace(), lambda *_: None)


def test_a_deadline_is_no_failure_and_says_how_to_go_on():
    clock = Clock()
    with pytest.raises(
        StillRunning, match="is still running after 1 minutes.*look again"
    ) as caught:
        wait_until(waiting_for(["RUNNING"] * 99), clock.pace(), lambda *_: None)
    assert caught.value.exit_status == ExitStatus.STILL_RUNNING
    assert sum(clock.slept) == 60.0


def test_the_last_pause_ends_with_the_deadline():
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
def test_a_throttled_or_lost_look_says_nothing_about_the_thing(trouble):
    assert (
        wait_until(waiting_for([trouble, "COMPLETED"]), Clock().pace(), lambda *_: None)
        == "COMPLETED"
    )


def test_a_local_aws_that_has_ended_is_noticed_at_the_first_look():
    with pytest.raises(EndpointConnectionError):
        wait_until(
            waiting_for([EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")]),
            Clock().pace(),
            lambda *_: None,
        )


def test_a_throttled_look_for_the_display_does_no_harm():
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

    shown = []
    wait_until(
        waiting_for(["COMPLETED"] * 2, show=show),
        Clock().pace(),
        lambda *look: shown.append(look[1]),
    )
    assert shown == ["all is well"]


def test_any_other_refusal_is_raised():
    refusal = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeStep"
    )
    with pytest.raises(ClientError):
        wait_until(waiting_for([refusal, "COMPLETED"]), Clock().pace(), lambda *_: None)


def test_ctrl_c_passes_through():
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_until(
            waiting_for(["RUNNING"] * 2),
            Pace(1, 10, clock=lambda: 0.0, sleep=interrupt),
            lambda *_: None,
        )


def test_the_display_can_say_more_than_the_state():
    shown = []
    wait_until(
        waiting_for(["COMPLETED"], show=lambda _: "both COMPLETED"),
        Clock().pace(),
        lambda *look: shown.append(look[1]),
    )
    assert shown == ["both COMPLETED"]
