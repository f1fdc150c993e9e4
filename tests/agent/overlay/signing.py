"""A controller in a few lines, for tests: signs memberships, states and keysets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network

from msgspec import Struct

from netns.wireguard.device import Endpoint
from protocol.keys import (
    VerifyKey,
    new_curve_pair,
    new_signing_seed,
    new_wireguard_pair,
)
from protocol.messages import Row, Settings
from protocol.packing import pack_interface, pack_network
from protocol.signed import Signed, Signer
from protocol.statements import Floor, Keyset, Membership, NetworkState

NETWORK = "0011223344000001"


def endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    return Endpoint(ip_address(host.strip("[]")), int(port))


class Someone(Struct):
    """A node as the controller knows it."""

    name: str
    addresses: tuple[str, ...]
    roles: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    families: tuple[int, ...] = ()
    serial: int = 1
    issued_at: int = 1_790_000_000_000
    not_after: int = 0
    via: bytes = b""
    network: str = NETWORK
    node: bytes = b""
    wireguard: bytes = b""
    secret: bytes = b""

    def __post_init__(self) -> None:
        self.node = self.node or new_curve_pair()[0]
        if not self.wireguard:
            self.wireguard, self.secret = new_wireguard_pair()

    @property
    def membership(self) -> Membership:
        return Membership(
            version=1,
            network=self.network,
            node=bytes(self.node),
            wireguard=bytes(self.wireguard),
            addresses=tuple(sorted(pack_interface(ip_interface(a)) for a in self.addresses)),
            prefixes=tuple(sorted(pack_network(ip_network(p)) for p in self.prefixes)),
            roles=tuple(sorted(self.roles)),
            relays=tuple(sorted(pack_network(ip_network(p)) for p in self.carries)),
            serial=self.serial,
            issued_at=self.issued_at,
            not_after=self.not_after,
            via=bytes(self.via),
        )


@dataclass
class Authority:
    """`root` signs keysets, `signer` everything else."""

    root: Signer = field(default_factory=lambda: Signer(new_signing_seed()))
    signer: Signer = field(default_factory=lambda: Signer(new_signing_seed()))

    @property
    def root_key(self) -> VerifyKey:
        return self.root.key

    def keyset(self, number: int = 1) -> Keyset:
        return Keyset(
            version=1,
            number=number,
            signers=(bytes(self.signer.key),),
            controllers=(),
            issued_at=0,
        )

    def signed_keyset(self, number: int = 1) -> Signed:
        return self.root.seal(self.keyset(number))

    def row(self, someone: Someone) -> Row:
        return Row(
            membership=self.signer.seal(someone.membership),
            name=someone.name,
            address=bytes(someone.node).hex()[:10],
            endpoints=someone.endpoints,
            families=someone.families,
        )

    def rows(self, *everybody: Someone) -> tuple[Row, ...]:
        return tuple(self.row(someone) for someone in everybody)


def state(
    *,
    epoch: int = 1,
    incarnation: int = 1,
    floors: Iterable[tuple[Someone, int]] = (),
    least: int = 0,
    network: str = NETWORK,
) -> NetworkState:
    return NetworkState(
        version=1,
        network=network,
        incarnation=incarnation,
        epoch=epoch,
        least=least,
        floors=tuple(
            sorted((Floor(bytes(who.node), serial) for who, serial in floors), key=lambda f: f.node)
        ),
        issued_at=1_790_000_000_000,
    )


SETTINGS = Settings(
    name="home",
    ranges=(pack_network(ip_network("10.9.0.0/16")), pack_network(ip_network("fd09::/64"))),
    routes=(),
    dns=(),
    mtu=0,
    topology="mesh",
)
