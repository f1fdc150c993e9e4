"""What the controller signs: who is a member and what of (Membership), how the network stands
(NetworkState), and which keys may sign (Keyset, signed by the root key).

Times are milliseconds since 1970; a `not_after` of 0 is never. Addresses are packed (protocol.packing);
lists are sorted and without doubles, which `check` holds, so that there is one form for each meaning.
"""

import re
from typing import Annotated, ClassVar

import msgspec

from protocol.keys import KEY_SIZE, Key32, VerifyKey, is_low_order
from protocol.packing import IPInterface, IPNetwork, unpack_interface, unpack_network
from protocol.signed import Statement, StatementError, signer_id

VERSION = 1
CLOSED = 2**53  # as the `least` of a state: the network was deleted
FLOORS_MAX = 1000  # 43 bytes each: a state fits into a frame
ROLES = ("hub", "management", "mint", "transit")

NetworkId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Packed = Annotated[bytes, msgspec.Meta(min_length=5, max_length=17)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_ENDPOINT = re.compile(r"tcp://(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_.-]{1,255}):\d{1,5}\Z")


class Membership(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node's place in a network.

    `serial` rises only when what it says changes, or when the network folds its floors; renewing
    `not_after` keeps it. `via` is the transit member that may carry its addresses to those who have
    no direct path to it; empty: none.
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
    via: Annotated[bytes, msgspec.Meta(max_length=KEY_SIZE)]

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


class NetworkState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a network stands. (incarnation, epoch) only rises; members keep the highest they saw.

    Nobody's certificate has a serial below `least`; those of the nodes in `floors` none below theirs.
    With CLOSED as `least` the network was deleted: nobody's certificate is valid any more.
    """

    DOMAIN: ClassVar[bytes] = b"zosnet/network-state/v1\0"

    version: int
    network: NetworkId
    incarnation: Count
    epoch: Count
    least: Count
    floors: Annotated[tuple[Floor, ...], msgspec.Meta(max_length=FLOORS_MAX)]
    issued_at: Count

    @property
    def is_closed(self) -> bool:
        return self.least == CLOSED


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
    """Hold what types can not: version, sorted lists, readable addresses, a key that is one.

    Raises StatementError.
    """
    if statement.version != VERSION:
        raise StatementError(f"it has version {statement.version}, we know {VERSION}")
    match statement:
        case Membership():
            packed = (statement.addresses, statement.prefixes, statement.relays)
            ordered = all(list(values) == sorted(set(values)) for values in packed)
            if not ordered or list(statement.roles) != sorted(set(statement.roles)):
                raise StatementError("a list in it is not sorted or has doubles")
            if is_low_order(statement.wireguard):
                raise StatementError("its WireGuard key is a point of low order")
            if len(statement.via) not in (0, KEY_SIZE) or statement.via == statement.node:
                raise StatementError("its transit is no other node")
            unknown = set(statement.roles) - set(ROLES)
            if unknown:
                raise StatementError(f"it has roles we do not know: {', '.join(sorted(unknown))}")
            try:
                _ = (statement.interfaces, statement.networks, statement.relayed)
            except ValueError as error:
                raise StatementError(str(error)) from error
        case NetworkState():
            nodes = [floor.node for floor in statement.floors]
            if nodes != sorted(set(nodes)):
                raise StatementError("a list in it is not sorted or has doubles")
        case Keyset():
            keys = [entry.key for entry in statement.controllers]
            for listed in (list(statement.signers), keys):
                if listed != sorted(set(listed)):
                    raise StatementError("a list in it is not sorted or has doubles")
            for endpoint in (e for entry in statement.controllers for e in entry.endpoints):
                if _ENDPOINT.match(endpoint) is None:
                    raise StatementError(f"{endpoint!r} in it is no endpoint")


_: type[Statement] = Membership  # mypy holds that statements fit the protocol
