"""The steps' names, numbers and phases."""

from pathlib import Path

from car_rental.config import ROOT
from car_rental.runs.command_line import command_line
from car_rental.steps import PHASES, STEPS, numbers


def test_steps_are_numbered_in_order_and_each_script_names_its_number():
    assert [step.number for step in STEPS.values()] == list(range(1, 11))
    for step in STEPS.values():
        second_line = (
            Path(ROOT, "scripts", f"{step.name}.py").read_text(encoding="utf-8").splitlines()[1]
        )
        assert second_line.startswith(f'"""Step {step.number}: ')


def test_every_phase_is_a_flag_of_main_and_has_a_step():
    assert {f"--{phase}" for phase in PHASES} <= set(command_line(None).format_help().split())
    assert {step.phase for step in STEPS.values()} == set(PHASES)


def test_a_phase_is_described_by_the_numbers_of_its_steps():
    assert [numbers(phase) for phase in PHASES] == [
        "steps 1 to 4",
        "steps 5 to 8",
        "step 9",
        "step 10",
    ]
