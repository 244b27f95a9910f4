"""Names and numbers of the steps."""

from pathlib import Path

from car_rental.config import ROOT
from car_rental.runs.command_line import command_line
from car_rental.steps import PHASES, STEPS, numbers


def test_steps_are_numbered_in_order_and_each_is_a_script_that_says_its_number():
    assert [step.number for step in STEPS.values()] == list(range(1, 11))
    for step in STEPS.values():
        second_line = (
            Path(ROOT, "scripts", f"{step.name}.py").read_text(encoding="utf-8").splitlines()[1]
        )
        assert second_line.startswith(f'"""Step {step.number}: ')


def test_phases_are_flags_of_main_and_every_step_is_of_one():
    assert {f"--{phase}" for phase in PHASES} <= set(command_line(None).format_help().split())
    assert {step.phase for step in STEPS.values()} == set(PHASES)


def test_phases_are_told_by_the_numbers_of_their_steps():
    assert [numbers(phase) for phase in PHASES] == [
        "steps 1 to 4",
        "steps 5 to 8",
        "step 9",
        "step 10",
    ]
