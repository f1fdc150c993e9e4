"""What we ask the kernel; whether it agrees is test_netlink's."""

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

import pytest

from netns import encode, rtnl
from netns.values import GROUP


def names(request: encode.Request) -> dict[str, object]:
    return dict(request.attributes)


def test_a_link_is_born_in_our_group_because_it_cannot_be_born_with_an_alias() -> None:
    assert names(encode.new_bridge("zos", mac=None))["IFLA_GROUP"] == GROUP


def test_both_ends_of_a_veth_are_born_in_our_group() -> None:
    request = encode.new_veth("a", mac=None, peer="b", peer_mac=None, peer_fd=5)
    info = names(request)["IFLA_LINKINFO"]

    assert names(request)["IFLA_GROUP"] == GROUP
    assert f"('IFLA_GROUP', {GROUP})" in str(info)


def test_only_what_is_given_is_changed() -> None:
    request = encode.changed_link(7, master=0, role="")

    assert request.fields == {"index": 7}
    assert names(request) == {"IFLA_MASTER": 0, "IFLA_IFALIAS": ""}


def test_up_changes_that_one_flag() -> None:
    assert encode.changed_link(7, up=False).fields == {"index": 7, "flags": 0, "change": 1}


def test_nothing_to_say_about_a_port_is_no_request() -> None:
    assert not encode.changed_port(7, isolated=None, learning=None).attributes
    assert encode.changed_port(7, isolated=False, learning=None).attributes


def test_a_preferred_life_never_outlasts_the_valid_one() -> None:
    request = encode.new_address(
        7, IPv6Interface("2001:db8::1/64"), valid_s=60, preferred_s=600, nodad=False
    )
    life = names(request)["IFA_CACHEINFO"]

    assert life == {"ifa_preferred": 60, "ifa_valid": 60, "cstamp": 0, "tstamp": 0}


def test_a_broadcast_address_goes_with_prefixes_that_have_one() -> None:
    wide, pair, v6 = (
        names(encode.new_address(7, interface, valid_s=None, preferred_s=None, nodad=False))
        for interface in (
            IPv4Interface("10.0.0.1/24"),
            IPv4Interface("10.0.0.1/31"),
            IPv6Interface("2001:db8::1/64"),
        )
    )

    assert wide["IFA_BROADCAST"] == "10.0.0.255"
    assert "IFA_BROADCAST" not in pair
    assert "IFA_BROADCAST" not in v6


def test_a_default_route_needs_a_family_from_somewhere() -> None:
    with pytest.raises(ValueError, match="family"):
        encode.old_route(None, link=7, via=None, metric=None, family=None)
    by_via = encode.old_route(None, link=7, via=IPv4Address(1), metric=None, family=None)
    said = encode.old_route(None, link=7, via=None, metric=None, family=6)

    assert (by_via.fields["family"], said.fields["family"]) == (encode.AF_INET, encode.AF_INET6)


def test_a_direct_ipv4_route_has_link_scope_as_the_kernel_wants_it() -> None:
    def scope(via: IPv4Address | None) -> int:
        request = encode.new_route(
            IPv4Network("10.0.0.0/8"),
            link=7,
            via=via,
            metric=None,
            family=None,
            onlink=False,
            protocol=4,
        )
        return request.fields["scope"]

    assert (scope(None), scope(IPv4Address(1))) == (253, 0)


def encoded(request: encode.Request) -> bytes:
    """As the kernel gets it."""
    message = rtnl._message(request)
    message.encode()
    return bytes(message.data)


def attribute(kind: int, value: bytes) -> bytes:
    """struct rtattr and what it holds, padded: linux/rtnetlink.h."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def test_a_vlan_is_its_number_on_a_link_below() -> None:
    sent = encoded(encode.new_vlan("eth0.12", lower=3, number=12))
    number = attribute(1, struct.pack("=H", 12))  # IFLA_VLAN_ID

    assert attribute(5, struct.pack("=I", 3)) in sent  # IFLA_LINK
    assert attribute(1, b"vlan\0") + attribute(2, number) in sent  # IFLA_INFO_KIND, _DATA


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("active-backup", b""),
        # IFLA_BOND_AD_LACP_RATE: fast; IFLA_BOND_XMIT_HASH_POLICY: layer 3 and 4
        ("802.3ad", attribute(21, b"\1") + attribute(14, b"\1")),
    ],
)
def test_a_bond_looks_at_its_carriers_and_lacp_is_fast(mode: str, more: bytes) -> None:
    number = {"active-backup": 1, "802.3ad": 4}[mode]
    data = attribute(1, bytes([number])) + attribute(3, struct.pack("=I", 100)) + more

    sent = encoded(encode.new_bond("zbond", mode))

    assert attribute(1, b"bond\0") + attribute(2, data) in sent
