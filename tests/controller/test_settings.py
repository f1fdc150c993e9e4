"""What a network can be set to: every key kept as it was given, wrong ones refused by name."""

from typing import Any

import msgspec
import pytest

from controller.refusal import RefusedError
from controller.settings import Wanted, check_name, check_whole, columns_of
from controller.store.records import Network
from protocol.packing import IPNetwork
from runtime.failure import Exit
from tests.controller.house import House

KEYS: dict[str, Any] = {
    "desc": "the farm in the north",
    "notes": "ask Ann",
    "ui": '{"colour": "red"}',
    "private": False,
    "topology": "hub",
    "mesh_max": 40,
    "member_prefix": 24,
    "life": 86400 * 7,
    "reclaim_after": 86400 * 3,
    "mtu": 1380,
    "dns": ["10.9.0.2", "fd00::2"],
    "v4_assign": "dhcp",
    "v6_assign": "v6native",
    "rfc4193": True,
    "sixplane": True,
    "ether_types": "800,86dd",
    "enable_broadcast": True,
}


def network(**values: Any) -> Network:
    plain: dict[str, Any] = dict.fromkeys(Network.__struct_fields__, 0)
    return Network(**(plain | {"name": "home"} | values))


def reason(**given: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        columns_of(msgspec.convert(given, Wanted))
    assert caught.value.code == Exit.USAGE
    return str(caught.value)


def test_every_key_has_a_value_in_these_tests() -> None:
    assert set(KEYS) == set(Wanted.__struct_fields__)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_kept_when_a_network_is_made_and_when_it_is_set(house: House, key: str) -> None:
    made = house.do("network.create", id="request-1", name="one", ipv4="10.9.0.0/16")[0]
    assert made[key] != KEYS[key]
    house.do("network.set", network="one", **{key: KEYS[key]})
    house.do("network.create", id="request-2", name="two", ipv4="10.9.0.0/16", **{key: KEYS[key]})
    house.reopen()

    assert {n["name"]: n[key] for n in house.do("network.list")} == dict.fromkeys(
        ("one", "two"), KEYS[key]
    )


def test_what_a_network_is_unless_somebody_says_otherwise(house: House) -> None:
    network = house.network()
    shown = house.do("network.show", network="home")[0]
    membership = house.membership(house.join(house.enrol(network), network))

    assert {key: shown[key] for key in KEYS} == {
        "desc": "",
        "notes": "",
        "ui": "",
        "private": True,
        "topology": "mesh",
        "mesh_max": 500,
        "member_prefix": 0,
        "life": 0,
        "reclaim_after": 30 * 86400,
        "mtu": 0,
        "dns": [],
        "v4_assign": "zt",
        "v6_assign": "zt",
        "rfc4193": False,
        "sixplane": False,
        "ether_types": "",
        "enable_broadcast": False,
    }
    assert membership.not_after == 0


def test_a_key_that_is_not_given_stays(house: House) -> None:
    house.do("network.create", id="request-1", name="one", ipv4="10.9.0.0/16", **KEYS)
    house.do("network.set", network="one", desc="another")
    shown = house.do("network.show", network="one")[0]

    assert {key: shown[key] for key in KEYS} == KEYS | {"desc": "another"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ui": "{"}, "no JSON"),
        ({"mesh_max": 1}, "mesh_max 1: 2 to"),
        ({"member_prefix": 31}, "member_prefix 31: 9 to 30, or 0"),
        ({"life": 86399}, "a day is the least"),
        ({"life": 86400 * 3651}, "ten years the most"),
        ({"reclaim_after": 60}, "a day is the least"),
        ({"mtu": 1279}, "1280 to 9000, or 0"),
        ({"mtu": 9001}, "1280 to 9000, or 0"),
        ({"dns": ["ns.example"]}, "DNS server"),
        ({"dns": ["127.0.0.1"]}, "members cannot reach"),
        ({"dns": ["fe80::1%eth0"]}, "members cannot reach"),
        ({"ether_types": "0800,XY"}, "no lower-case hexadecimal"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(given: dict[str, Any], said: str) -> None:
    assert said in reason(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"topology": "ring"}, "topology: 'ring' is not one of"),
        ({"v4_assign": "dhcp6"}, "v4_assign: 'dhcp6' is not one of"),
        ({"private": "no"}, "private: 'no' is not true or false"),
        ({"desc": "x" * 257}, "desc: at most 256"),
        ({"dns": ["10.9.0.2"] * 9}, "dns: at most 8"),
        ({"mesh_maxx": 5}, "unknown key 'mesh_maxx'"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_key(
    house: House, given: dict[str, Any], said: str
) -> None:
    house.network()
    reply: Any = house.call("network.set", network="home", **given)

    assert (reply.code, said in reply.message) == (Exit.USAGE, True), reply.message


def test_the_limits_themselves_are_taken() -> None:
    for given in (
        {"mesh_max": 2},
        {"member_prefix": 30},
        {"life": 86400},
        {"mtu": 1280},
        {"mtu": 9000},
        {"life": 0, "mtu": 0, "member_prefix": 0, "reclaim_after": 0, "dns": [], "ui": ""},
    ):
        assert set(columns_of(msgspec.convert(given, Wanted))) == set(given)


@pytest.mark.parametrize("name", ["a", "x" * 63, "o'neil+farm!#$%&*/=?^`{|}~@example.net", "1"])
def test_what_may_stand_in_an_email_address_is_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "no blank", "ü", "a,b", "a:b", "-x", "a\n", "00112233ff000001"]
)
def test_what_may_not_is_none(name: str) -> None:
    with pytest.raises(RefusedError, match="cannot call a network"):
        check_name(name)


@pytest.mark.parametrize(
    ("length", "ranges", "said"),
    [
        (24, ["10.9.0.0/16"], ""),
        (17, ["10.9.0.0/16", "fd00::/64"], ""),
        (0, ["10.9.0.0/30"], ""),
        (16, ["10.9.0.0/16"], "no room for two"),
        (24, ["10.9.0.0/16", "10.10.1.0/24"], "no room for two"),
        (24, ["fd00::/64"], "no IPv4 range"),
    ],
)
def test_the_subnets_of_members_fit_into_every_range(
    length: int, ranges: list[str], said: str
) -> None:
    from ipaddress import ip_network

    parsed: list[IPNetwork] = [ip_network(one) for one in ranges]
    if not said:
        check_whole(network(member_prefix=length), parsed)
        return
    with pytest.raises(RefusedError, match=said):
        check_whole(network(member_prefix=length), parsed)
