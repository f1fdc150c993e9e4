"""What the kernel has, as values."""

from ipaddress import IPv6Address, IPv6Interface

from msgspec.structs import replace

from netns.values import GROUP, Address, Link, Neighbour, NeighbourState

LINK = Link(
    index=3,
    name="zos",
    kind="bridge",
    mac="02:00:00:00:00:01",
    mtu=1500,
    up=True,
    carrier=True,
    master=None,
    alias="zosnet:uplink",
    parent=None,
)
ADDRESS = Address(
    link=3,
    interface=IPv6Interface("2001:db8::1/64"),
    scope=0,
    tentative=False,
    dad_failed=False,
    deprecated=False,
    permanent=False,
    valid_s=600,
    preferred_s=300,
)
NEIGHBOUR = Neighbour(
    link=3,
    address=IPv6Address("fe80::1"),
    mac="02:00:00:00:00:02",
    state=NeighbourState.STALE,
)


def test_a_link_has_the_role_that_its_alias_says() -> None:
    assert LINK.role == "uplink"


def test_a_link_without_our_alias_has_no_role() -> None:
    assert [replace(LINK, alias=alias).role for alias in ("", "zos", "my:zosnet:uplink")] == [
        None,
        None,
        None,
    ]


def test_half_made_is_a_link_of_our_group_that_nobody_has_marked() -> None:
    assert replace(LINK, group=GROUP, alias="").half_made
    assert not replace(LINK, group=GROUP).half_made
    assert not replace(LINK, group=0, alias="").half_made


def test_physical_is_what_has_no_kind_and_is_not_lo() -> None:
    assert replace(LINK, kind=None).physical
    assert not LINK.physical
    assert not replace(LINK, kind=None, loopback=True).physical


def test_an_address_is_usable_when_duplicate_detection_is_over_and_found_nobody() -> None:
    assert ADDRESS.usable
    assert replace(ADDRESS, deprecated=True).usable
    assert not replace(ADDRESS, tentative=True).usable
    assert not replace(ADDRESS, optimistic=True).usable
    assert not replace(ADDRESS, dad_failed=True).usable


def test_a_neighbour_is_reachable_while_its_mac_was_not_found_wrong() -> None:
    assert NEIGHBOUR.reachable
    assert not replace(NEIGHBOUR, state=NeighbourState.FAILED).reachable
    assert not replace(NEIGHBOUR, mac="", state=NeighbourState.INCOMPLETE).reachable
