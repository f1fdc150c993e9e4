"""Networks of one controller: their ids, names, ranges; those of controller.yaml."""

from typing import Any

import msgspec
import pytest

from controller.config import NetworkConfig
from controller.verbs.configured import ensure_networks
from protocol.admin import Failed
from protocol.ids import NETWORKS_MAX
from protocol.messages import Joined
from runtime.failure import Exit
from tests.controller.house import House
from tests.controller.test_settings import KEYS

# each otherwise than in KEYS
BY_HAND: dict[str, Any] = {key: type(value)() for key, value in KEYS.items()} | {
    "private": True,
    "topology": "mesh",
    "mesh_max": 41,
    "v4_assign": "zt",
    "v6_assign": "zt",
}


def failed(reply: object) -> Failed:
    assert isinstance(reply, Failed), reply
    assert reply.message.startswith("cannot ")
    return reply


def configured(house: House, *networks: dict[str, Any]) -> None:
    """A start with these networks in controller.yaml."""
    house.reopen()
    house.office.now_ms, house.office.now = house.now_ms, house.now
    ensure_networks(house.office, [msgspec.convert(n, NetworkConfig) for n in networks])


def test_ids_are_the_controllers_and_a_number_until_the_last_of_2_24(house: House) -> None:
    first = house.network("first")
    house.registry.last_number = NETWORKS_MAX - 2
    last = house.network("last", ipv4="10.1.0.0/16")
    none = failed(house.call("network.create", id="request-none", name="none"))
    house.reopen()
    again = failed(house.call("network.create", id="request-none", name="none"))

    assert first == house.registry.controller + "000001"
    assert last == house.registry.controller + "ffffff"
    assert (none.code, again.code) == (Exit.EXHAUSTED, Exit.EXHAUSTED)
    assert "all 16777215 numbers of this controller are used" in none.message
    assert house.count("network") == 2


@pytest.mark.parametrize("length", range(8, 31))
def test_ipv4_ranges_of_every_length_from_8_to_30_have_members(house: House, length: int) -> None:
    network = house.network(ipv4=f"10.0.0.0/{length}")
    guest = house.enrol(network)

    assert house.addresses(house.join(guest, network))[0].endswith(f"/{length}")


@pytest.mark.parametrize("length", [7, 31, 32])
def test_ipv4_ranges_of_other_lengths_are_refused(house: House, length: int) -> None:
    call = {"id": "request-1", "name": "home", "ipv4": f"10.0.0.0/{length}"}
    refused = failed(house.call("network.create", **call))

    assert refused.message.startswith(f"cannot use the range 10.0.0.0/{length}: ")
    assert house.count("network") == 0


@pytest.mark.parametrize("length", [8, 48, 64, 120, 126])
def test_a_network_may_have_ipv6_alone_of_any_length(house: House, length: int) -> None:
    network = house.network(ipv4="", ipv6=f"fd00::/{length}")
    held = [house.addresses(house.join(house.enrol(network), network)) for _ in range(2)]

    assert [[a.partition("/")[2] for a in one] for one in held] == [[str(length)]] * 2
    assert held[0] != held[1]


def test_several_networks_may_have_equal_and_overlapping_ranges(house: House) -> None:
    ranges = ("10.9.0.0/16", "10.9.0.0/16", "10.0.0.0/8", "10.9.1.0/24")
    made = [house.network(f"n{i}", ipv4=one, ipv6="fd00::/64") for i, one in enumerate(ranges)]
    joined = [house.join(house.enrol(n, house.token(n)), n) for n in made]

    assert [house.membership(reply).network for reply in joined] == made


def test_one_network_has_several_ranges_that_do_not_overlap(house: House) -> None:
    ranges = ["10.9.0.0/24", "10.10.0.0/24"]
    made = house.do("network.create", id="request-1", name="home", ipv4=ranges, ipv6="fd00::/64")
    overlapping = ["10.9.0.0/16", "10.9.1.0/24"]
    refused = failed(house.call("network.create", id="request-2", name="other", ipv4=overlapping))

    assert made[0]["ranges"] == [*ranges, "fd00::/64"]
    assert "it overlaps 10.9.0.0/16" in refused.message


@pytest.mark.parametrize("range_", ["100.127.3.0/24", "fe80::/64", "127.0.0.0/8", "0.0.0.0/0"])
def test_ranges_that_mean_something_else_on_nodes_are_refused(house: House, range_: str) -> None:
    family = "ipv6" if ":" in range_ else "ipv4"
    call = {family: range_}
    refused = failed(house.call("network.create", id="request-1", name="home", **call))

    assert "not one for an overlay" in refused.message
    assert house.count("pool") == 0


def test_the_owner_is_given_at_the_beginning_and_changed_only_by_giving(house: House) -> None:
    made = house.do("network.create", id="request-1", name="home", owner="local:ann@example.net")
    assert made[0]["owner"] == "local:ann@example.net"
    given = house.do("network.give", network="home", owner="google:1234")
    wrong = failed(house.call("network.give", network="home", owner="ann"))

    assert (
        given[0]["owner"] == house.do("network.show", network="home")[0]["owner"] == "google:1234"
    )
    assert "no user's id" in wrong.message


def test_changed_settings_reach_connected_members_at_once(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.pushed(guest)
    house.do("network.set", network="home", mtu=1400, dns=["10.9.0.2"], topology="hub")
    told = [reply for reply in house.pushed(guest) if isinstance(reply, Joined)]

    assert [(t.settings.mtu, t.settings.dns, t.settings.topology) for t in told] == [
        (1400, ("10.9.0.2",), "hub")
    ]


def test_a_network_with_more_members_than_a_mesh_may_have_becomes_none(house: House) -> None:
    house.network()
    house.do("network.set", network="home", topology="hub", mesh_max=2)
    for name in ("n1", "n2", "n3"):
        house.enrol(house.do("network.list")[0]["id"], name=name)
    refused = failed(house.call("network.set", network="home", topology="mesh"))
    house.do("network.set", network="home", topology="mesh", mesh_max=3)
    again = failed(house.call("network.set", network="home", mesh_max=2))

    assert "it has 3 members" in refused.message
    assert refused.code == again.code == Exit.CONFLICT


# -- controller.yaml


def test_networks_of_the_config_are_made_with_all_their_keys(house: House) -> None:
    ranges = ["10.9.0.0/16", "10.10.0.0/16", "fd00:9::/64"]
    wanted = {"name": "home", "ipv4": ranges[:2], "ipv6": ranges[2], "owner": "local:a"} | KEYS
    configured(house, wanted)
    made = house.do("network.show", network="home")[0]
    house.do("network.set", network="home", **BY_HAND)
    house.do("network.give", network="home", owner="local:b")
    configured(house, wanted)
    held = house.do("network.show", network="home")[0]

    assert BY_HAND.keys() == KEYS.keys()
    for shown in (made, held):
        assert (shown["ranges"], shown["owner"]) == (ranges, "local:a")
        assert shown["infrastructure"]
        assert {key: shown[key] for key in KEYS} == KEYS


def test_a_network_of_the_config_can_be_neither_deleted_nor_renamed(house: House) -> None:
    house.network("plain", ipv4="10.1.0.0/16")
    configured(house, {"name": "home"})

    for verb, more in (("delete", {}), ("set", {"name": "other"})):
        refused = failed(house.call(f"network.{verb}", network="home", **more))
        assert (refused.code, "infrastructure" in refused.message) == (Exit.DENIED, True)
    house.do("network.set", network="plain", name="other")
    house.do("network.delete", network="other")
    configured(house)
    house.do("network.delete", network="home")
    assert house.count("pool") == 0


def test_an_imported_network_that_is_infrastructure_stays_so(house: House) -> None:
    """What controller.yaml does not name is not its matter."""
    name = "8056c2e21c000001"
    hashed = {"id": name, "name": "earth", "infrastructure": "1"}
    part = {"zt1": "1", f"zt1:network:{name}:~": hashed}
    house.do("import", id="import-0001", part=part, number=0, last=True)
    configured(house, {"name": "home"})
    refused = failed(house.call("network.delete", network="earth"))
    shown = house.do("network.show", network="earth")[0]

    assert (refused.code, shown["infrastructure"]) == (Exit.DENIED, True)
    assert "name it in controller.yaml" in (refused.hint or "")
    configured(house, {"name": "home"}, {"name": "earth"})
    configured(house, {"name": "home"})
    house.do("network.delete", network="earth")
    assert [item["name"] for item in house.do("network.list")] == ["home"]


def test_a_name_that_a_network_of_the_config_once_had_is_free_for_another(house: House) -> None:
    configured(house, {"name": "earth", "ipv4": "10.8.0.0/16"})
    configured(house)
    house.do("network.set", network="earth", name="mars")
    configured(house, {"name": "earth", "ipv4": "10.9.0.0/16"})
    made = {item["name"]: item["ranges"] for item in house.do("network.list")}

    assert made == {"mars": ["10.8.0.0/16"], "earth": ["10.9.0.0/16"]}


def test_keys_of_the_config_hold_at_each_start_and_others_stay(house: House) -> None:
    configured(house, {"name": "home", "mtu": 1300})
    house.do("network.set", network="home", mtu=1400, desc="by hand")
    configured(house, {"name": "home", "mtu": 1300})
    shown = house.do("network.show", network="home")[0]

    assert (shown["mtu"], shown["desc"]) == (1300, "by hand")


def test_a_start_without_changes_writes_nothing(house: House) -> None:
    network = {"name": "home", "ipv4": "10.9.0.0/16", "mtu": 1300, "dns": ["10.9.0.2"]}
    configured(house, network)
    before = house.count("audit"), house.do("network.list")
    configured(house, network)

    assert (house.count("audit"), house.do("network.list")) == before
