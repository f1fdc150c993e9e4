"""Whether a cable is whole; making one is in tests/lab."""

from ipaddress import ip_address, ip_interface

import pytest
from msgspec.structs import replace

from agent.ndmz.cable import ROLE, Cable, is_plugged, is_whole, stale
from netns.values import Address, Link, Route, View

CABLE = Cable(
    space="ndmz",
    bridge="br-ndmz",
    port="nr-1",
    isolated=True,
    workload="n-blue",
    link="public",
    mac="02:00:00:00:00:01",
    interfaces=(ip_interface("100.127.0.9/16"), ip_interface("fd12::9/64")),
    gateways=(ip_address("100.127.0.1"), ip_address("fe80::1")),
    mtu=1500,
)
BRIDGE, PORT, END = 3, 7, 2


def link(index: int, name: str, role: str, **fields: object) -> Link:
    usual: dict[str, object] = {"kind": "veth", "mac": "", "mtu": 1500, "up": True, "master": None}
    values = {**usual, "carrier": True, "alias": f"zosnet:{role}", "parent": None, **fields}
    return Link(index=index, name=name, **values)  # type: ignore[arg-type]


NEAR = {
    "br-ndmz": link(BRIDGE, "br-ndmz", "br-ndmz"),
    "nr-1": link(PORT, "nr-1", "nr-1", master=BRIDGE, isolated=True),
}
FAR = View(
    links={"public": link(END, "public", ROLE, mac=CABLE.mac)},
    addresses=tuple(
        Address(
            link=END,
            interface=interface,
            scope=0,
            tentative=False,
            dad_failed=False,
            deprecated=False,
            permanent=True,
            valid_s=None,
            preferred_s=None,
        )
        for interface in CABLE.interfaces
    ),
    routes=tuple(
        Route(destination=None, family=g.version, via=g, link=END, metric=0, protocol=4)
        for g in CABLE.gateways
    ),
    generation=0,
    sysctls={},
)


def test_a_whole_cable_needs_nothing() -> None:
    assert is_whole(CABLE, NEAR, FAR)
    assert is_plugged(CABLE, NEAR)


@pytest.mark.parametrize(
    "fields",
    [{"up": False}, {"master": None}, {"isolated": False}, {"mtu": 1400}, {"alias": ""}],
)
def test_a_port_that_is_otherwise_is_seen(fields: dict[str, object]) -> None:
    near = {**NEAR, "nr-1": replace(NEAR["nr-1"], **fields)}

    assert not is_plugged(CABLE, near)
    assert not is_whole(CABLE, near, FAR)


@pytest.mark.parametrize("gone", ["br-ndmz", "nr-1"])
def test_a_bridge_or_port_that_is_gone_is_seen(gone: str) -> None:
    near = {name: link for name, link in NEAR.items() if name != gone}

    assert not is_plugged(CABLE, near)


@pytest.mark.parametrize("fields", [{"up": False}, {"mac": "02::"}, {"mtu": 1400}, {"alias": ""}])
def test_an_end_that_is_otherwise_is_seen(fields: dict[str, object]) -> None:
    end = replace(FAR.links["public"], **fields)

    assert not is_whole(CABLE, NEAR, replace(FAR, links={"public": end}))


@pytest.mark.parametrize(
    "far",
    [
        replace(FAR, links={}),
        replace(FAR, addresses=FAR.addresses[1:]),
        replace(FAR, addresses=FAR.addresses[:1]),
        replace(FAR, routes=FAR.routes[1:]),
        replace(FAR, routes=FAR.routes[:1]),
    ],
)
def test_what_is_missing_at_the_end_is_seen(far: View) -> None:
    assert not is_whole(CABLE, NEAR, far)


def test_an_address_of_the_mac_out_of_a_prefix_that_is_gone_is_stale() -> None:
    cable = replace(CABLE, interfaces=(ip_interface("2001:db8:b:20:0:ff:fe00:1/64"),))
    end = FAR.links["public"]

    def at(*texts: str) -> View:
        addresses = tuple(replace(FAR.addresses[0], interface=ip_interface(t)) for t in texts)
        return replace(FAR, addresses=addresses)

    now, old = "2001:db8:b:20:0:ff:fe00:1/64", "2001:db8:b:10:0:ff:fe00:1/64"
    others = at(now, "fe80::ff:fe00:1/64", "2001:db8:77::5/64")

    assert stale(cable, end, others.addresses) == []
    assert is_whole(cable, NEAR, others)
    assert stale(cable, end, at(now, old).addresses) == [ip_interface(old)]
    assert not is_whole(cable, NEAR, at(now, old))
