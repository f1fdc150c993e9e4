"""A network resource: what it should be, the steps there, and none when it is."""

from ipaddress import ip_interface, ip_network

import msgspec
import pytest

from agent.nr.guard import render, sysctls
from agent.nr.local import attached, parse_local
from agent.nr.plan import (
    AddAddress,
    AddBridge,
    AddRoute,
    DeleteAddress,
    DeleteRoute,
    Names,
    Resource,
    Seen,
    SetMtu,
    SetUp,
    cable_of,
    diff,
    overlay_mtu,
    plan_local,
    plan_resource,
)
from netns.values import Address, IPInterface, IPNetwork, Link, Protocol, Route
from protocol.packing import pack_network
from tests.agent.overlay.signing import NETWORK, SETTINGS, Someone

ME = Someone("me", ("10.9.0.1/16", "fd09::1/64"), prefixes=("10.9.7.0/24",))
NAMES = Names.of(NETWORK)
WANT = plan_resource(NETWORK, ME.membership, SETTINGS, uplink_mtu=1500)


def link(index: int, name: str, mtu: int = 1420, *, up: bool = True) -> Link:
    return Link(
        index=index,
        name=name,
        kind=None,
        mac="",
        mtu=mtu,
        up=up,
        carrier=up,
        master=None,
        alias="",
        parent=None,
    )


def address(index: int, interface: IPInterface) -> Address:
    return Address(
        link=index,
        interface=interface,
        scope=0,
        tentative=False,
        dad_failed=False,
        deprecated=False,
        permanent=True,
        valid_s=None,
        preferred_s=None,
    )


def route(index: int, destination: IPNetwork, protocol: int = Protocol.STATIC) -> Route:
    return Route(
        destination=destination,
        family=destination.version,
        via=None,
        link=index,
        metric=0,
        protocol=protocol,
    )


def made(want: Resource) -> Seen:
    """A namespace in which all of `want` is true."""
    links = {NAMES.device: link(1, NAMES.device, want.mtu), NAMES.bridge: link(2, NAMES.bridge)}
    addresses = [address(1, a) for a in want.addresses] + [address(2, a) for a in want.gateways]
    connected = [route(1, a.network, Protocol.KERNEL) for a in want.addresses]
    return Seen(links, tuple(addresses), (*connected, *(route(1, r) for r in want.routes)))


def test_the_names_carry_the_network_and_fit_into_a_link_name() -> None:
    assert Names("n-000001001122", "b-000001001122", "w-000001001122") == NAMES


def test_the_plan_follows_the_certificate_and_the_settings() -> None:
    assert {str(a) for a in WANT.addresses} == {"10.9.0.1/16", "fd09::1/64"}
    assert {str(a) for a in WANT.gateways} == {"10.9.7.1/24"}
    assert WANT.routes == frozenset()  # both ranges are connected already
    assert WANT.mtu == 1420


def test_ranges_that_are_not_connected_and_routes_of_members_are_routed() -> None:
    extra = pack_network(ip_network("10.10.0.0/16"))
    routed = pack_network(ip_network("192.168.7.0/24"))
    settings = msgspec.structs.replace(
        SETTINGS,
        ranges=(*SETTINGS.ranges, extra, b"noise"),
        routes=((routed, b""), (pack_network(ip_network("0.0.0.0/0")), b"")),
    )
    want = plan_resource(NETWORK, ME.membership, settings, uplink_mtu=1500)

    assert {str(r) for r in want.routes} == {"10.10.0.0/16", "192.168.7.0/24"}


@pytest.mark.parametrize(
    ("uplink", "chosen", "mtu"),
    [(1500, 0, 1420), (1492, 0, 1412), (1300, 0, 1280), (1500, 1300, 1300), (1500, 9000, 1420)],
)
def test_the_mtu_fits_into_the_uplink_and_is_never_too_small_for_ipv6(
    uplink: int, chosen: int, mtu: int
) -> None:
    assert overlay_mtu(uplink, chosen) == mtu


def test_a_new_device_gets_everything_and_addresses_before_it_is_up() -> None:
    seen = Seen({NAMES.device: link(1, NAMES.device, 1500, up=False)})
    steps = diff(WANT, seen)

    assert steps[0] == AddBridge(NAMES.bridge)
    device = [s for s in steps if not isinstance(s, AddBridge) and s.link == NAMES.device]
    kinds = [SetMtu, AddAddress, AddAddress, SetUp]
    assert kinds == [type(step) for step in device]


def test_nothing_is_done_twice() -> None:
    assert diff(WANT, made(WANT)) == []


def test_a_new_address_comes_before_the_old_one_goes() -> None:
    moved = msgspec.structs.replace(
        ME.membership,
        addresses=tuple(sorted(Someone("x", ("10.9.0.99/16", "fd09::1/64")).membership.addresses)),
    )
    want = plan_resource(NETWORK, moved, SETTINGS, uplink_mtu=1500)

    assert diff(want, made(WANT)) == [
        AddAddress(NAMES.device, ip_interface("10.9.0.99/16")),
        DeleteAddress(NAMES.device, ip_interface("10.9.0.1/16")),
    ]


def test_only_our_own_routes_by_the_device_are_deleted() -> None:
    seen = made(WANT)
    other = ip_network("192.168.7.0/24")
    seen = Seen(
        seen.links,
        seen.addresses,
        (*seen.routes, route(1, other), route(2, other), route(1, other, Protocol.KERNEL)),
    )

    assert diff(WANT, seen) == [DeleteRoute(NAMES.device, other)]


def test_a_lost_route_comes_back() -> None:
    want = Resource(
        NAMES, WANT.addresses, WANT.gateways, frozenset({ip_network("10.10.0.0/16")}), 1420, False
    )

    assert diff(want, made(WANT)) == [AddRoute(NAMES.device, ip_network("10.10.0.0/16"))]


def test_only_a_transit_member_forwards_from_overlay_to_overlay() -> None:
    relays = f'iifname "{NAMES.device}" oifname "{NAMES.device}" accept'

    assert relays in render(NAMES, transit=True)
    assert relays not in render(NAMES, transit=False)


def test_a_reload_deletes_no_chain_and_no_table() -> None:
    text = render(NAMES, transit=True)

    assert "flush chain" in text
    assert "delete" not in text
    assert "policy drop" in text


def test_a_transit_does_not_tell_shorter_ways() -> None:
    values = sysctls()

    assert values["net/ipv4/conf/all/send_redirects"] == "0"
    assert values["net/ipv4/conf/default/send_redirects"] == "0"


BLUE = attached(parse_local("blue", ipv4="10.1.1.0/24", ipv6="fd12::/64"), "web")


def test_one_that_was_made_by_hand_has_a_bridge_and_no_device() -> None:
    want = plan_local(BLUE, mtu=1400)
    steps = diff(want, Seen({}))

    assert {str(a) for a in want.gateways} == {"10.1.1.1/24", "fd12::1/64"}
    assert steps[0] == AddBridge("b-blue")
    assert {s.link for s in steps if not isinstance(s, AddBridge)} == {"b-blue"}
    assert SetMtu("b-blue", 1400) in steps


def test_its_workloads_have_cables_to_its_bridge() -> None:
    cable = cable_of(BLUE, BLUE.workloads[0], mac="02::1", mtu=1400)

    assert (cable.space, cable.bridge, cable.workload, cable.link) == (
        "n-blue",
        "b-blue",
        "web",
        "eth0",
    )
    assert [str(a) for a in cable.interfaces] == ["10.1.1.2/24", "fd12::2/64"]
    assert [str(a) for a in cable.gateways] == ["10.1.1.1", "fd12::1"]
    assert not cable.isolated
    assert len(cable.port) <= 15


def test_its_guard_lets_workloads_out_and_answers_in_and_nothing_else() -> None:
    text = render(plan_local(BLUE, mtu=1500).names, transit=False)
    through = [line.partition(" through ")[2] for line in text.splitlines() if " rule " in line]

    assert [rule for rule in through if rule.endswith("accept")] == [
        'iifname "b-blue" oifname "public" accept',
        'iifname "public" oifname "b-blue" ct state established,related accept',
    ]
    assert '""' not in text


def test_segments_are_made_to_fit_before_anything_is_let_through() -> None:
    rules = [line for line in render(NAMES, transit=True).splitlines() if " rule " in line]

    assert "maxseg size set rt mtu" in rules[0]
