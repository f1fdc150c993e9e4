"""Tombstones last thirty days; who was away longer gets a snapshot."""

from controller.members.tombstones import KEEP_MS, purge
from protocol.messages import Rows
from tests.controller.house import House


def test_tombstones_go_after_thirty_days_and_late_comers_get_a_snapshot(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.enrol(network, name="gone")
    held = house.registry.networks[1].revision
    house.do("member.forget", network="home", member="gone")
    house.later(KEEP_MS / 1000)
    assert purge(house.registry, house.now_ms) == 0
    before = house.fetch(guest, network, revision=held)
    house.later(1)
    assert purge(house.registry, house.now_ms) == 1
    after = house.fetch(guest, network, revision=held)

    assert isinstance(before, Rows)
    assert (before.full, len(before.gone)) == (False, 1)
    assert isinstance(after, Rows)
    assert (after.full, len(after.rows), len(after.gone)) == (True, 1, 0)
    assert house.count("member") == 1
    house.reopen()
    house.hello(guest)
    house.join(guest, network)
    again = house.fetch(guest, network, revision=held)
    assert isinstance(again, Rows)
    assert again.full
