"""Records as signed statements: a member's certificate, a network's state, the keyset."""

import logging
from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from controller.keyring import Keyring
from controller.records import Assignment, Floor, Member, Network, Pool
from protocol.messages import Settings
from protocol.packing import pack_network
from protocol.signed import Signed, Signer
from protocol.statements import (
    VERSION,
    ControllerEntry,
    Keyset,
    Membership,
    NetworkState,
    Relay,
)
from protocol.statements import Floor as WireFloor

log = logging.getLogger(__name__)

MAX_LISTED = 400  # floors, and relays: with more of both a state is larger than a frame


def sign_membership(
    signer: Signer, network_id: str, key: bytes, member: Member, held: Iterable[Assignment]
) -> Signed:
    """The certificate of a member that has joined. Same record, same bytes."""
    if member.wireguard is None:
        raise ValueError("a member without WireGuard key has no certificate")
    return signer.seal(
        Membership(
            version=VERSION,
            network=network_id,
            node=key,
            wireguard=member.wireguard,
            addresses=tuple(sorted(row.packed for row in held if not row.released_at)),
            prefixes=(),
            roles=member.role_list,
            relays=(),
            serial=member.serial,
            issued_at=member.issued_at,
            not_after=member.not_after,
        )
    )


def sign_state(
    signer: Signer,
    network_id: str,
    network: Network,
    incarnation: int,
    *,
    relays: Mapping[bytes, bytes],
    floors: Mapping[bytes, int],
) -> Signed:
    for name, listed in (("relays", relays), ("floors", floors)):
        if len(listed) > MAX_LISTED:
            log.warning(
                "a network state lists not all of them",
                extra={"network": network.name, "what": name, "count": len(listed)},
            )
    return signer.seal(
        NetworkState(
            version=VERSION,
            network=network_id,
            incarnation=incarnation,
            epoch=network.epoch,
            floors=tuple(WireFloor(k, s) for k, s in sorted(floors.items())[:MAX_LISTED]),
            relays=tuple(Relay(m, t) for m, t in sorted(relays.items())[:MAX_LISTED]),
            issued_at=network.state_at,
        )
    )


def sign_keyset(
    keys: Keyring, number: int, endpoints: tuple[str, ...], now_ms: int
) -> Signed | None:
    """None when the root key is offline."""
    if keys.root_signer is None:
        return None
    return keys.root_signer.seal(
        Keyset(
            version=VERSION,
            number=number,
            signers=(bytes(keys.signer.key),),
            controllers=(ControllerEntry(bytes(keys.curve_public), endpoints),),
            issued_at=now_ms,
        )
    )


def settings_of(network: Network, pools: Iterable[Pool]) -> Settings:
    return Settings(
        name=network.name,
        ranges=tuple(sorted(pack_network(ip_network(pool.prefix)) for pool in pools)),
        routes=(),
        dns=tuple(network.dns.split()),
        mtu=network.mtu,
        topology=network.topology,
    )


def live_floors(floors: Iterable[Floor], now_ms: int) -> dict[bytes, int]:
    """node: serial; without those whose last certificate is over anyway."""
    return {f.node: f.serial for f in floors if not f.not_after or f.not_after > now_ms}
