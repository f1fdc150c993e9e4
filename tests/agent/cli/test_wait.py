"""How often `wait` looks."""

import pytest

from agent.cli.wait import LOOK_EACH, pause


@pytest.mark.parametrize(
    ("took", "left", "expected"),
    [
        (0.0005, 9.0, LOOK_EACH),  # any machine
        (0.03, 9.0, 0.3),  # one that has to be sparing
        (0.03, 0.1, 0.1),  # it ends in time
    ],
)
def test_a_look_takes_little_of_a_slow_machine(took: float, left: float, expected: float) -> None:
    assert pause(took, left) == pytest.approx(expected)
