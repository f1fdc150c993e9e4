"""What a client sends when it gives a lease back (RFC 2131, table 5)."""

from ipaddress import IPv4Address, IPv4Interface

from agent.dhcp.lease import Lease, client_id
from agent.dhcp.release import release_of
from agent.dhcp.wire import HEADER, OPTIONS_AT, MessageType, Option, encode_query

MAC = "02:00:00:00:00:04"
LEASE = Lease(
    address=IPv4Interface("192.168.7.30/24"),
    routers=(IPv4Address("192.168.7.1"),),
    server=IPv4Address("192.168.7.1"),
    lease_s=3600,
    renew_s=1800,
    rebind_s=3150,
    acquired=0.0,
    client_id=client_id(MAC),
)


def test_it_names_address_server_and_client_and_asks_for_nothing() -> None:
    sent = encode_query(release_of(LEASE, MAC, 7))
    header = HEADER.unpack_from(sent)
    options = read_options(sent[OPTIONS_AT:])

    assert header[4] == 7
    assert IPv4Address(header[7]) == LEASE.address.ip
    assert options == {
        Option.TYPE: bytes((MessageType.RELEASE,)),
        Option.CLIENT_ID: client_id(MAC),
        Option.SERVER: LEASE.server.packed,
    }


def read_options(data: bytes) -> dict[int, bytes]:
    """Until the end option, 255."""
    found, at = {}, 0
    while data[at] != 255:
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found
