"""Records as signed statements: a member's certificate, a network's state."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from controller.addresses.computed import carried, ranges_of
from controller.store.records import Assignment, Member, Network, Pool
from protocol.messages import Settings
from protocol.packing import pack_network
from protocol.signed import Signed, Signer
from protocol.statements import (
    VERSION,
    Membership,
    NetworkState,
)
from protocol.statements import Floor as WireFloor


def sign_membership(
    signer: Signer,
    network: Network,
    network_id: str,
    key: bytes,
    member: Member,
    *,
    held: Iterable[Assignment],
    serial: int,
    relays: Iterable[bytes] = (),
) -> Signed:
    """The certificate of a member that has joined. Same record, same bytes. `relays`: packed ranges
    that it may carry for others.
    """
    if member.wireguard is None:
        raise ValueError("a member without WireGuard key has no certificate")
    addresses, prefixes = carried(network, network_id, member, held)
    return signer.seal(
        Membership(
            version=VERSION,
            network=network_id,
            node=key,
            wireguard=member.wireguard,
            addresses=addresses,
            prefixes=prefixes,
            roles=member.role_list,
            relays=tuple(sorted(set(relays))),
            serial=serial,
            issued_at=member.issued_at,
            not_after=member.not_after,
            via=member.via,
        )
    )


def sign_state(
    signer: Signer,
    network_id: str,
    network: Network,
    incarnation: int,
    floors: Mapping[bytes, int],
) -> Signed:
    """`floors`: serials by node key, few enough for a frame (members.publish folds them)."""
    return signer.seal(
        NetworkState(
            version=VERSION,
            network=network_id,
            incarnation=incarnation,
            epoch=network.epoch,
            least=network.least,
            floors=tuple(WireFloor(node, serial) for node, serial in sorted(floors.items())),
            issued_at=network.state_at,
        )
    )


def routes_of(network: Network) -> Iterator[tuple[bytes, bytes]]:
    """Packed prefixes, and the addresses of the members behind which they lie."""
    for text in network.routes.split(", ") if network.routes else ():
        prefix, _, via = text.partition(" via ")
        yield pack_network(ip_network(prefix)), bytes.fromhex(via)


def settings_of(network: Network, network_id: str, pools: Iterable[Pool]) -> Settings:
    return Settings(
        name=network.name,
        ranges=ranges_of(network, network_id, pools),
        routes=tuple(routes_of(network)),
        dns=tuple(network.dns.split()),
        mtu=network.mtu,
        topology=network.topology,
    )
