"""Transits named step by step are those that a look at everything gives; epochs; folded floors."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.netmap.relays import choose_transit, reach
from protocol.messages import Joined
from tests.controller.house import House

V4, V6 = "192.0.2.1:51820", "[2001:db8::1]:51820"
steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "transit", "plain"]),
        st.integers(0, 4),
        st.sets(st.sampled_from([V4, V6])),
    ),
    max_size=15,
)


@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_transits_are_those_that_a_look_at_everything_gives(
    plan: list[tuple[str, int, set[str]]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory))
        network = house.network()
        guests = [house.enrol(network, name=f"n{i}") for i in range(5)]
        for what, number, endpoints in plan:
            guest = guests[number]
            match what:
                case "join":
                    guest.endpoints = tuple(sorted(endpoints))
                    house.join(guest, network)
                case "leave":
                    house.leave(guest, network)
                case _:
                    roles = ["transit"] if what == "transit" else []
                    house.do("member.set", network="home", member=guest.name, roles=roles)
            members = dict(house.registry.roster.members(1))
            reaches = {key: reach(member) for key, member in members.items()}
            transits = {key: r for key, r in reaches.items() if r.transit}
            assert house.registry.netmap(1).transits == transits
            for key, member in members.items():
                assert member.via == (choose_transit(reaches[key], transits.items()) or b"")
        house.close()


def test_epoch_and_revision_rise_with_what_they_count(house: House) -> None:
    network = house.network()
    guest = house.enrol(network, endpoints=(V4, V6), families=(4, 6))
    before = house.registry.networks[1]
    guest.endpoints = (V4, V6, "192.0.2.9:1")
    assert isinstance(house.join(guest, network), Joined)  # a row: no change of the state
    row = house.registry.networks[1]
    house.leave(guest, network)  # a floor
    floor = house.registry.networks[1]

    assert (row.revision, row.epoch) == (before.revision + 1, before.epoch)
    assert (floor.revision, floor.epoch) == (row.revision + 2, row.epoch + 1)
    assert floor.state_revision == floor.revision


def test_the_epoch_never_goes_back_over_a_restart(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.leave(guest, network)
    epoch = house.registry.networks[1].epoch
    house.reopen()
    house.hello(guest)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    assert house.state(joined).epoch == epoch > 1
    house.leave(guest, network)

    assert house.registry.networks[1].epoch == epoch + 1
