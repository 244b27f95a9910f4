"""Calls are retried while IAM spreads a new role: on listed messages, for two minutes."""

import io

import pytest
from botocore.exceptions import ClientError
from car_rental.display.console import Console
from car_rental.iam.retry import retry_while_iam_spreads


def rejection(message):
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "RunJobFlow")


class Attempts:
    """A call that fails ``failures`` times, with a clock that only advances in `sleep`."""

    def __init__(self, failures, message):
        self.failures, self.message, self.now, self.calls = failures, message, 0.0, 0

    def __call__(self):
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise rejection(self.message)
        return "j-1"

    def sleep(self, seconds):
        self.now += seconds

    def run(self):
        console = Console(io.StringIO(), io.StringIO())
        messages = ("Invalid InstanceProfile",)
        return retry_while_iam_spreads(
            self, messages, console, 120, clock=lambda: self.now, sleep=self.sleep
        )


def test_a_call_is_repeated_until_the_role_is_known():
    attempts = Attempts(3, "Invalid InstanceProfile: x")
    assert attempts.run() == "j-1"
    assert attempts.now == 15


def test_the_error_is_raised_after_two_minutes():
    attempts = Attempts(1000, "Invalid InstanceProfile: x")
    with pytest.raises(ClientError):
        attempts.run()
    assert attempts.now == 120


def test_any_other_error_is_raised_at_once():
    attempts = Attempts(1, "You must also specify a ServiceRole")
    with pytest.raises(ClientError):
        attempts.run()
    assert attempts.calls == 1
