"""A lease outlives its keeper, not the power."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.dhcp.lease import FOREVER, Lease, StaticRoute, client_id
from agent.dhcp.store import forget_lease, lease_path, load_lease, store_lease
from runtime.clock import boot_id

MAC = "52:54:00:AB:cd:ef"
LEASE = Lease(
    address=IPv4Interface("192.168.1.42/24"),
    routers=(IPv4Address("192.168.1.1"),),
    server=IPv4Address("192.168.1.1"),
    dns=(IPv4Address("9.9.9.9"),),
    domain="lan",
    mtu=1400,
    routes=(
        StaticRoute(IPv4Network("10.0.0.0/8"), IPv4Address("192.168.1.3")),
        StaticRoute(IPv4Network("11.0.0.0/8"), None),
    ),
    lease_s=FOREVER,
    renew_s=500,
    rebind_s=875,
    acquired=12.375,
    client_id=client_id(MAC),
)


def test_what_is_stored_comes_back_in_the_same_boot(tmp_path: Path) -> None:
    store_lease(MAC, LEASE, state=tmp_path)

    assert load_lease(MAC.lower(), state=tmp_path) == LEASE


def test_a_lease_of_another_boot_is_none(tmp_path: Path) -> None:
    store_lease(MAC, LEASE, state=tmp_path, boot="a")

    assert load_lease(MAC, state=tmp_path, boot="b") is None
    assert load_lease(MAC, state=tmp_path, boot="a") == LEASE
    assert len(boot_id()) == 36


def test_leases_are_told_apart_by_mac_and_forgotten_one_by_one(tmp_path: Path) -> None:
    other = replace(LEASE, server=IPv4Address("192.168.1.2"))
    store_lease(MAC, LEASE, state=tmp_path)
    store_lease("52:54:00:00:00:01", other, state=tmp_path)
    forget_lease(MAC, state=tmp_path)
    forget_lease(MAC, state=tmp_path)

    assert load_lease(MAC, state=tmp_path) is None
    assert load_lease("52:54:00:00:00:01", state=tmp_path) == other


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b"null"])
def test_a_damaged_file_is_no_lease(tmp_path: Path, damage: bytes) -> None:
    lease_path(MAC, state=tmp_path).parent.mkdir()
    lease_path(MAC, state=tmp_path).write_bytes(damage)

    assert load_lease(MAC, state=tmp_path) is None


def test_a_file_with_an_impossible_address_is_no_lease(tmp_path: Path) -> None:
    store_lease(MAC, LEASE, state=tmp_path)
    path = lease_path(MAC, state=tmp_path)
    path.write_bytes(path.read_bytes().replace(b"192.168.1.42/24", b"192.168.1.42/99"))

    assert load_lease(MAC, state=tmp_path) is None
