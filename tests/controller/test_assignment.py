"""Memory and database say the same of every address, whatever was done in whatever order."""

import tempfile
from ipaddress import ip_address
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.messages import Joined
from tests.controller.house import Guest, House

steps = st.lists(
    st.tuples(st.sampled_from(["join", "forget", "wait", "restart", "fixed"]), st.integers(0, 6)),
    max_size=14,
)


def enter(house: House, network: str, guest: Guest, **token: str) -> bool:
    house.admit(house.token(ttl=300 * 86400, **token), guest)
    house.hello(guest)
    return isinstance(house.join(guest, network), Joined)


@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_memory_is_the_database(plan: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory))
        network = house.network(ipv4="10.9.0.0/29")  # five addresses for seven nodes
        guests = [house.guest(f"n{i}") for i in range(7)]
        for what, number in plan:
            match what:
                case "join":
                    enter(house, network, guests[number])
                case "fixed":
                    wanted = house.call(
                        "token.create",
                        network="home",
                        key="00" * 31 + f"{number:02x}",
                        address=str(ip_address("10.9.0.2") + number % 5),
                    )
                    if type(wanted).__name__ == "Result":
                        house.admit(bytes(31) + bytes([number]), guests[number])
                        house.hello(guests[number])
                        house.join(guests[number], network)
                case "forget":
                    house.call("member.forget", network="home", member=f"n{number}")
                case "wait":
                    house.later(number * 6 * 3600)
                case "restart":
                    house.reopen()
                case _:
                    raise AssertionError(what)
            house.check_addresses()
        house.close()


def test_both_families_or_none(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/16", ipv6="fd00::/126")  # two IPv6 addresses
    entered = [enter(house, network, house.guest(f"n{i}")) for i in range(3)]

    assert entered == [True, True, False]
    assert house.count("assignment") == 4
    with house.registry.connection.begin():
        spaces = house.registry.book.spaces(house.registry.connection, 1)
    assert [space.size - space.free for _, space in spaces] == [2, 2]
