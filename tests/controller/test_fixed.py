"""Addresses that somebody decided: kept apart, and refused with the name of who is in the way."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

import pytest

from controller.addresses.fixed import assign_fixed, change_fixed, release_fixed
from controller.members.certificate import renew
from controller.refusal import RefusedError
from controller.store.work import Work
from tests.controller.house import Guest, House

T = TypeVar("T")


def change(house: House, number: int, do: Callable[[Work], T]) -> T:
    def whole(work: Work) -> T:
        result = do(work)
        renew(work, house.registry.networks[1], number)
        return result

    try:
        return house.desk.transact(whole, house.now_ms, house.now)
    finally:
        house.check_addresses()


def node(house: House, guest: Guest) -> int:
    with house.registry.connection.begin():
        found = house.registry.work(house.now_ms).node(guest.key)
    assert found is not None
    return found.id


def fix(house: House, guest: Guest, address: str, kind: str = "manual") -> bool:
    number = node(house, guest)
    return change(
        house,
        number,
        lambda work: assign_fixed(
            house.registry.book, work, 1, number, ip_address(address), kind=kind
        ),
    )


def fix_all(house: House, guest: Guest, *addresses: str) -> bool:
    number, wanted = node(house, guest), [ip_address(a) for a in addresses]
    return change(
        house, number, lambda work: change_fixed(house.registry.book, work, 1, number, wanted)
    )


def held(house: House, guest: Guest) -> dict[str, str]:
    """Address: kind."""
    number = node(house, guest)
    with house.registry.connection.begin():
        rows = house.registry.work(house.now_ms).addresses(1, number)
    return {str(row.interface): row.kind for row in rows if not row.released_at}


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        do()
    return str(caught.value)


def test_a_fixed_address_takes_the_place_of_the_one_that_the_member_got_by_itself(
    house: House,
) -> None:
    """I3: an admin sets a member's address."""
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network)
    before = held(house, guest)
    assert fix(house, guest, "10.9.7.7")

    after = held(house, guest)
    assert after["10.9.7.7/16"] == "manual"
    assert len(after) == 2
    assert [a for a in after if ":" in a] == [a for a in before if ":" in a]
    assert "10.9.7.7/16" in house.addresses(house.join(guest, network))
    assert not fix(house, guest, "10.9.7.7")


@pytest.mark.parametrize("kind", ["auto", "manual", "reserved"])
def test_an_address_that_somebody_has_is_refused_with_the_holders_name(
    house: House, kind: str
) -> None:
    """I3: a conflict names the holder."""
    network = house.network()
    holder, other = house.enrol(network, name="holder"), house.enrol(network, name="other")
    if kind != "auto":
        fix(house, holder, "10.9.7.7", kind)
    address = next(iter(held(house, holder))).partition("/")[0]
    said = refusal(lambda: fix(house, other, address))

    assert said == f"cannot assign {address}: member holder ({node(house, holder):010x}) has it"
    assert fix(house, other, "10.9.7.8")


def test_an_address_in_quarantine_is_refused_until_it_has_rested(house: House) -> None:
    network = house.network()
    holder, other = house.enrol(network, name="holder"), house.enrol(network, name="other")
    fix(house, holder, "10.9.7.7")
    house.do("member.forget", network="home", member="holder")
    said = refusal(lambda: fix(house, other, "10.9.7.7"))
    house.later(24 * 3600 + 1)

    assert "had it, and it rests until 20" in said
    assert fix(house, other, "10.9.7.7")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.9.0.0", "it is the address of 10.9.0.0/16 itself"),
        ("10.9.255.255", "it is the broadcast address of 10.9.0.0/16"),
        ("10.9.0.1", "it is kept for the management member"),
        ("10.10.0.1", "it is in no range of network home"),
        ("fd00::", "it is the address of fd00::/64 itself"),
        ("fd01::1", "it is in no range of network home"),
    ],
)
def test_an_address_that_is_none_for_members_is_refused(
    house: House, address: str, reason: str
) -> None:
    guest = house.enrol(house.network(ipv6="fd00::/64"))
    said = refusal(lambda: fix(house, guest, address))

    assert said == f"cannot assign {address}: {reason}"
    assert fix(house, guest, "10.9.3.3")


def test_a_member_has_the_fixed_addresses_that_were_named_last(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network)
    fix_all(house, guest, "10.9.7.7", "10.9.7.8", "fd00::77")
    assert set(held(house, guest)) == {"10.9.7.7/16", "10.9.7.8/16", "fd00::77/64"}
    assert fix_all(house, guest, "10.9.7.8")
    house.join(guest, network)

    after = held(house, guest)
    assert after.pop("10.9.7.8/16") == "manual"
    assert [(":" in address, kind) for address, kind in after.items()] == [(True, "auto")]
    assert not fix_all(house, guest, "10.9.7.8")
    assert "at most" in refusal(lambda: fix_all(house, guest, *(f"10.9.8.{n}" for n in range(9))))


def test_who_loses_its_fixed_address_gets_another_by_itself(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    number = node(house, guest)
    house.do("pool.set", network="home", range="10.9.0.0/16", first="10.9.1.0", renumber=True)
    fix(house, guest, "10.9.0.9")  # no address that members get by themselves
    change(
        house,
        number,
        lambda work: release_fixed(house.registry.book, work, 1, number, ip_address("10.9.0.9")),
    )
    assert held(house, guest) == {}
    house.join(guest, network)

    assert list(held(house, guest).values()) == ["auto"]
    assert "10.9.0.9/16" not in held(house, guest)
    said = refusal(
        lambda: change(
            house,
            number,
            lambda work: release_fixed(
                house.registry.book, work, 1, number, ip_address("10.9.0.9")
            ),
        )
    )
    assert said == "cannot release 10.9.0.9: it is no fixed address of this member"


def test_an_address_reserved_before_the_first_contact_is_the_nodes(house: House) -> None:
    network = house.network()
    guest = house.guest("late")
    house.admit(house.token(), guest)  # known, and was never here
    fix_all(house, guest, "10.9.3.3")
    assert held(house, guest) == {"10.9.3.3/16": "reserved"}
    house.reopen()
    house.hello(guest)

    assert house.addresses(house.join(guest, network)) == ["10.9.3.3/16"]


def test_fixed_addresses_outlast_a_leave_and_not_a_forget(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    fix(house, guest, "10.9.7.7")
    house.leave(guest, network)
    assert held(house, guest) == {"10.9.7.7/16": "manual"}
    house.join(guest, network)
    house.do("member.forget", network="home", member="n1")

    assert held(house, guest) == {}
