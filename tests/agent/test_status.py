"""Which phases of a node hold, as networkd says."""

import pytest
from msgspec.structs import replace

from agent.enrol.status import EnrolStatus, FarmStatus
from agent.overlay.status import NetworkStatus
from agent.status import holding
from tests.agent.test_explain import FARM, HOME

ALL = {"ndmz": 0.7, "admitted": 0.8, "overlay": 0.9, "first_ping": 1.0}
(MEMBER,) = FARM.networks


def test_what_was_reached_holds_while_all_stands() -> None:
    enrol = EnrolStatus(farms=[FARM])

    assert holding(ALL, ndmz=True, enrol=enrol, networks=[HOME]) == ALL
    assert holding({}, ndmz=True, enrol=enrol, networks=[HOME]) == {}


def test_an_ndmz_that_is_not_ready_any_more_is_no_phase_that_holds() -> None:
    found = holding(ALL, ndmz=False, enrol=EnrolStatus(farms=[FARM]), networks=[HOME])

    assert found == {phase: ALL[phase] for phase in ("admitted", "overlay", "first_ping")}


@pytest.mark.parametrize(
    ("farm", "networks"),
    [
        (FARM, []),
        (FARM, [replace(HOME, state="failing")]),
        (FARM, [HOME, replace(HOME, state="starting")]),
        (replace(FARM, tokens=1), [HOME]),
        (replace(FARM, networks=[MEMBER, replace(MEMBER, standing="joining")]), [HOME]),
        (replace(FARM, networks=[replace(MEMBER, standing="waiting")]), [HOME]),
    ],
)
def test_an_overlay_holds_in_all_networks_or_not(
    farm: FarmStatus, networks: list[NetworkStatus]
) -> None:
    found = holding(ALL, ndmz=True, enrol=EnrolStatus(farms=[farm]), networks=networks)

    assert found == {phase: ALL[phase] for phase in ("ndmz", "admitted")}
