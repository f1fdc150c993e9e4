"""What a lease says of itself."""

from ipaddress import IPv4Address, IPv4Interface

import pytest
from msgspec.structs import replace

from agent.dhcp.lease import FOREVER, Lease, client_id, hardware_address

MAC = "52:54:00:12:34:56"
LEASE = Lease(
    address=IPv4Interface("192.168.1.42/24"),
    routers=(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2")),
    server=IPv4Address("192.168.1.1"),
    lease_s=1000,
    renew_s=500,
    rebind_s=875,
    acquired=10.5,
    client_id=client_id(MAC),
)


def test_times_count_from_the_moment_it_was_acquired() -> None:
    assert (LEASE.renew_at, LEASE.rebind_at, LEASE.expires_at) == (510.5, 885.5, 1010.5)
    assert [LEASE.is_valid(now) for now in (10, 10.5, 1010, 1010.5)] == [False, True, True, False]
    assert [LEASE.remaining_s(now) for now in (10.5, 11, 2000)] == [1000, 999, 0]


def test_a_lease_for_ever_never_runs_down() -> None:
    assert replace(LEASE, lease_s=FOREVER).remaining_s(99999) == FOREVER


def test_the_first_router_is_the_gateway() -> None:
    assert LEASE.router == IPv4Address("192.168.1.1")
    assert replace(LEASE, routers=()).router is None


def test_the_client_id_is_the_mac_and_nothing_else() -> None:
    assert client_id(MAC).hex() == "01525400123456"
    assert client_id(MAC.upper()) == client_id(MAC)


@pytest.mark.parametrize("mac", ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "x"])
def test_what_is_no_mac_is_refused(mac: str) -> None:
    with pytest.raises(ValueError):
        hardware_address(mac)
