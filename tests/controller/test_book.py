"""Reading a network's addresses at the first join after a start."""

import time
from ipaddress import ip_address

import pytest

from controller.addresses import book
from controller.addresses.book import AddressBook
from controller.store.model import ASSIGNMENT
from controller.store.records import sixteen
from protocol.admin import Failed
from tests.controller.house import House

MILLION = 1_000_000


def test_a_space_is_read_as_it_was_written(house: House) -> None:
    """Also what was written by hand: outside of the range, misaligned, resting, far out."""
    network = house.network(ipv4="10.9.0.0/16", ipv6="fd00::/64")
    for number in range(30):
        house.enrol(network, name=f"n{number}")
    for address in (
        "10.9.0.1",
        "10.9.255.250",
        "10.77.0.9",
        "fd00::ffff:ffff:ffff:9",
        "fe00::1",
    ):
        house.edit(
            "INSERT INTO assignment SELECT network, ?, ?, 16, node, 'manual', ?"
            " FROM assignment LIMIT 1",
            sixteen(ip_address(address)),
            6 if ":" in address else 4,
            house.now_ms if "250" in address else 0,
        )
    house.reopen()
    house.check_addresses()

    late = house.enrol(network, name="late")
    assert house.addresses(house.join(late, network))
    house.check_addresses()


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["10.0.0.0/8", "fd00:9::/64"])
def test_a_million_addresses_are_read_in_memory_of_a_few_bytes_each(
    house: House, prefix: str
) -> None:
    """No absolute time is promised here; the bench has one."""
    family = 6 if ":" in prefix else 4
    given = {"ipv4": "", "ipv6": prefix} if family == 6 else {"ipv4": prefix, "ipv6": ""}
    house.spoilt = True  # one member with a million addresses is none of the controller's
    house.network(**given)
    house.enrol(house.network(**given))
    connection = house.registry.connection
    (pool,) = house.registry.book.pools(1)
    first = int.from_bytes(pool.first)
    with connection.begin():
        node = connection.exec_driver_sql("SELECT id FROM node").scalar_one()
        taken = connection.exec_driver_sql("SELECT address FROM assignment").scalar_one()
        rows = (first + 5 * n % (1 << 24) for n in range(MILLION))
        connection.connection.cursor().executemany(
            "INSERT OR IGNORE INTO assignment VALUES (1, ?, ?, 8, ?, 'auto', 0)",
            [(address.to_bytes(16), family, node) for address in rows],
        )
    fresh_book = AddressBook([pool])
    began = time.perf_counter()
    with connection.begin():
        work = house.registry.work(house.now_ms)
        (place,) = fresh_book.places(work, house.registry.networks[1])
    took = time.perf_counter() - began

    print(f"{prefix}: {took:.2f} s, {len(place.space._window)} bytes")
    with connection.begin():
        stored = connection.execute(ASSIGNMENT.select()).all()
    assert place.space.taken == len(stored)
    assert int.from_bytes(taken) in place.space
    assert len(place.space._window) + 64 * len(place.space._beyond) <= 1 << 24
    fresh = {place.space.allocate(0, 0) for _ in range(1000)}
    assert len(fresh) == 1000
    assert not fresh & {int.from_bytes(row.address) for row in stored}


def test_a_pool_of_a_network_that_was_deleted_is_forgotten(house: House) -> None:
    house.network()
    assert house.registry.book.pools(1) != []
    house.do("network.delete", network="home")

    assert house.registry.book.pools(1) == []


def test_the_spaces_of_other_pools_come_back_when_the_batch_fails(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/24")
    house.enrol(network)
    before = house.registry.book.pools(1)
    reply = house.call("pool.remove", network="home", range="10.9.0.0/24")

    assert isinstance(reply, Failed)

    assert house.registry.book.pools(1) == before
    house.check_addresses()


def test_only_so_many_networks_are_in_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "NETWORKS_MAX", 2)
    networks = [house.network(f"n{n}") for n in range(4)]
    guests = [house.enrol(n, house.token(f"n{i}")) for i, n in enumerate(networks)]
    house.enrol(networks[2], house.token("n2"))

    assert list(house.registry.book._places) == [4, 3]
    for guest, network in zip(guests, networks, strict=True):
        assert house.addresses(house.join(guest, network))
    house.check_addresses()
