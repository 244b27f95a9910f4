"""Waiting for IAM to spread: only on the exact message, only for two minutes."""

import io

import pytest
from botocore.exceptions import ClientError
from car_rental.display.console import Console
from car_rental.iam.retry import retry_while_iam_spreads


def refusal(message):
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "RunJobFlow")


class Attempts:
    """A call that is refused so many times, and a clock that only sleeping moves."""

    def __init__(self, refused, message):
        self.left, self.message, self.now, self.made = refused, message, 0.0, 0

    def __call__(self):
        self.made += 1
        if self.left:
            self.left -= 1
            raise refusal(self.message)
        return "j-1"

    def sleep(self, seconds):
        self.now += seconds

    def run(self):
        console = Console(io.StringIO(), io.StringIO())
        refusals = ("Invalid InstanceProfile",)
        return retry_while_iam_spreads(
            self, refusals, console, 120, clock=lambda: self.now, sleep=self.sleep
        )


def test_it_is_tried_again_until_the_role_is_known():
    attempts = Attempts(3, "Invalid InstanceProfile: x")
    assert attempts.run() == "j-1"
    assert attempts.now == 15


def test_after_two_minutes_the_refusal_is_raised():
    attempts = Attempts(1000, "Invalid InstanceProfile: x")
    with pytest.raises(ClientError):
        attempts.run()
    assert attempts.now == 120


def test_any_other_refusal_is_raised_at_once():
    attempts = Attempts(1, "You must also specify a ServiceRole")
    with pytest.raises(ClientError):
        attempts.run()
    assert attempts.made == 1
