"""What the controller signs: who is a member and what of (Membership), how the network stands
(NetworkState), and which keys may sign (Keyset, signed by the root key).

Times are milliseconds since 1970; a `not_after` of 0 is never. Addresses are packed (protocol.packing);
lists are sorted and without doubles, which `check` holds, so that there is one form for each meaning.
"""

from typing import Annotated, ClassVar

import msgspec

from protocol.keys import Key32, VerifyKey
from protocol.packing import IPInterface, IPNetwork, unpack_interface, unpack_network
from protocol.signed import Statement, StatementError, signer_id

VERSION = 1
ROLES = ("hub", "management", "mint", "transit")

NetworkId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Packed = Annotated[bytes, msgspec.Meta(min_length=5, max_length=17)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Membership(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node's place in a network.

    `serial` rises only when what it says changes; renewing `not_after` keeps it.
    """

    DOMAIN: ClassVar[bytes] = b"zosnet/membership/v1\0"

    version: int
    network: NetworkId
    node: Key32
    wireguard: Key32
    addresses: Annotated[tuple[Packed, ...], msgspec.Meta(max_length=16)]
    prefixes: Annotated[tuple[Packed, ...], msgspec.Meta(max_length=64)]
    roles: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)]
    relays: Annotated[tuple[Packed, ...], msgspec.Meta(max_length=64)]
    serial: Count
    issued_at: Count
    not_after: Count

    @property
    def interfaces(self) -> tuple[IPInterface, ...]:
        """Own addresses with the network's prefix length."""
        return tuple(unpack_interface(a) for a in self.addresses)

    @property
    def networks(self) -> tuple[IPNetwork, ...]:
        """Own prefixes."""
        return tuple(unpack_network(p) for p in self.prefixes)

    @property
    def relayed(self) -> tuple[IPNetwork, ...]:
        """Prefixes it may carry for others."""
        return tuple(unpack_network(p) for p in self.relays)


class Floor(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Certificates of `node` with a lower serial are not valid any more."""

    node: Key32
    serial: Count


class Relay(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """`member` is reached through `transit` by those that have no direct path to it."""

    member: Key32
    transit: Key32


class NetworkState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a network stands. (incarnation, epoch) only rises; members keep the highest they saw."""

    DOMAIN: ClassVar[bytes] = b"zosnet/network-state/v1\0"

    version: int
    network: NetworkId
    incarnation: Count
    epoch: Count
    floors: tuple[Floor, ...]
    relays: tuple[Relay, ...]
    issued_at: Count


class ControllerEntry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One controller: its CURVE key and its endpoints, `tcp://host:port`."""

    key: Key32
    endpoints: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)]


class Keyset(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Who may sign and whom to talk to; signed by the root key. `number` only rises."""

    DOMAIN: ClassVar[bytes] = b"zosnet/keyset/v1\0"

    version: int
    number: Count
    signers: Annotated[tuple[Key32, ...], msgspec.Meta(min_length=1, max_length=16)]
    controllers: Annotated[tuple[ControllerEntry, ...], msgspec.Meta(max_length=16)]
    issued_at: Count

    def verify_keys(self) -> dict[bytes, VerifyKey]:
        """signer id: key, as `open_signed` takes them."""
        return {signer_id(VerifyKey(key)): VerifyKey(key) for key in self.signers}


def check(statement: Membership | NetworkState | Keyset) -> None:
    """Hold what types can not: version, sorted lists, readable addresses. Raises StatementError."""
    if statement.version != VERSION:
        raise StatementError(f"it has version {statement.version}, we know {VERSION}")
    match statement:
        case Membership():
            packed = (statement.addresses, statement.prefixes, statement.relays)
            ordered = all(list(values) == sorted(set(values)) for values in packed)
            if not ordered or list(statement.roles) != sorted(set(statement.roles)):
                raise StatementError("a list in it is not sorted or has doubles")
            unknown = set(statement.roles) - set(ROLES)
            if unknown:
                raise StatementError(f"it has roles we do not know: {', '.join(sorted(unknown))}")
            try:
                _ = (statement.interfaces, statement.networks, statement.relayed)
            except ValueError as error:
                raise StatementError(str(error)) from error
        case NetworkState():
            for nodes in ([f.node for f in statement.floors], [r.member for r in statement.relays]):
                if nodes != sorted(set(nodes)):
                    raise StatementError("a list in it is not sorted or has doubles")
        case Keyset():
            pass


_: type[Statement] = Membership  # mypy holds that statements fit the protocol
