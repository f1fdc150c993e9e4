"""What a network can be set to: keys that `network create`, `network set` and controller.yaml
share, and their checks (pure).

    columns = columns_of(wanted)        # of the network's row, for the keys that were given
    check_name(name); check_whole(network, ranges)

All raise RefusedError. A key that was not given is None and changes nothing. Times are seconds.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import msgspec

from controller.refusal import RefusedError
from controller.store.records import Network
from protocol.messages import Code
from protocol.packing import IPNetwork, is_endpoint_address

DAY = 24 * 3600  # seconds
LIFE_MIN, LIFE_MAX = DAY, 3650 * DAY
MTU_MIN, MTU_MAX = 1280, 9000
MESH_MAX = 1_000_000

# RFC 5322's atext, the dot and the @; the first is no dash, which would look like an option
_NAME = re.compile(r"(?!-)[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,63}\Z")
_ID = re.compile(r"[0-9a-f]{16}\Z")
_OWNER = re.compile(r"[^\s:]+:\S+\Z")
_ETHER_TYPE = re.compile(r"[0-9a-f]{1,4}\Z")

Desc = Annotated[str, msgspec.Meta(max_length=256)]
Notes = Annotated[str, msgspec.Meta(max_length=1024)]
Blob = Annotated[str, msgspec.Meta(max_length=4096)]
Servers = Annotated[tuple[str, ...], msgspec.Meta(max_length=8)]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    desc: Desc | None = None
    notes: Notes | None = None
    ui: Blob | None = None
    private: bool | None = None
    topology: Literal["mesh", "hub"] | None = None
    mesh_max: int | None = None
    member_prefix: int | None = None
    life: int | None = None
    reclaim_after: int | None = None
    mtu: int | None = None
    dns: Servers | None = None
    v4_assign: Literal["none", "zt", "dhcp"] | None = None
    v6_assign: Literal["none", "zt", "v6native", "dhcp6"] | None = None
    rfc4193: bool | None = None
    sixplane: bool | None = None
    ether_types: Desc | None = None
    enable_broadcast: bool | None = None


def columns_of(wanted: Wanted) -> dict[str, Any]:
    """The given keys as columns of the network's row."""
    given = {name: getattr(wanted, name) for name in Wanted.__struct_fields__}
    return {
        name: _READERS[name](value) if name in _READERS else value
        for name, value in given.items()
        if value is not None
    }


def check_name(name: str) -> None:
    """Only what may stand in an e-mail address; nothing that could be taken for an id."""
    if _ID.match(name):
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot call a network {name}: it looks like a network's id"
        )
    if not _NAME.match(name):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot call a network {name!r}: a name has 1 to 63 letters, digits and"
            " !#$%&'*+-/=?^_`{|}~.@ and does not begin with a dash",
        )


def check_owner(owner: str) -> str:
    if owner and (len(owner) > 256 or not _OWNER.match(owner)):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot take {owner!r} for an owner: it is no user's id",
            hint="such as local:ann@example.net",
        )
    return owner


def check_whole(network: Network, ranges: Iterable[IPNetwork]) -> None:
    """What must fit together, once all keys and ranges are known."""
    length = network.member_prefix
    if not length:
        return
    ipv4 = [one for one in ranges if one.version == 4]
    if not ipv4:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use member_prefix {length}: the network has no IPv4 range to take it from",
        )
    for one in ipv4:
        if length <= one.prefixlen:
            raise RefusedError(
                Code.BAD_REQUEST,
                f"cannot use member_prefix {length}: {one} has no room for two of them",
                hint=f"{one.prefixlen + 1} to 30, or 0 for an address only",
            )


def _between(what: str, least: int, most: int, or_else: str) -> Callable[[int], int]:
    """A whole number in a range, or 0 when `or_else` says what that means."""

    def read(value: int) -> int:
        if not (least <= value <= most or (or_else and value == 0)):
            other = f", or 0: {or_else}" if or_else else ""
            raise RefusedError(
                Code.BAD_REQUEST, f"cannot use {what} {value}: {least} to {most}{other}"
            )
        return value

    return read


def _life(seconds: int) -> int:
    if seconds and not LIFE_MIN <= seconds <= LIFE_MAX:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use a life of {seconds} s: a day is the least, ten years the most, 0 is no end",
        )
    return seconds * 1000


def _reclaim_after(seconds: int) -> int:
    if seconds and not DAY <= seconds <= LIFE_MAX:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot reclaim addresses after {seconds} s: a day is the least,"
            " ten years the most, 0 is never",
        )
    return seconds * 1000


def _dns(servers: tuple[str, ...]) -> str:
    addresses = []
    for server in servers:
        try:
            address = ip_address(server)
        except ValueError as error:
            raise RefusedError(Code.BAD_REQUEST, f"cannot use this DNS server: {error}") from error
        if "%" in server or not is_endpoint_address(address):
            raise RefusedError(
                Code.BAD_REQUEST,
                f"cannot use the DNS server {server}: members cannot reach such an address",
            )
        addresses.append(str(address))
    return " ".join(dict.fromkeys(addresses))


def check_ui(text: str) -> str:
    """JSON, or nothing."""
    if text:
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise RefusedError(
                Code.BAD_REQUEST, f"cannot keep this ui: no JSON: {error}"
            ) from error
    return text


def _ether_types(text: str) -> str:
    """Comma-separated, hexadecimal, lower case: as the Redis schema has them."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        if not _ETHER_TYPE.match(part):
            raise RefusedError(
                Code.BAD_REQUEST,
                f"cannot use the ether type {part!r}: it is no lower-case hexadecimal number",
                hint="such as 800,806,86dd",
            )
    return ",".join(found)


_READERS: dict[str, Callable[[Any], Any]] = {
    "ui": check_ui,
    "mesh_max": _between("mesh_max", 2, MESH_MAX, ""),
    "member_prefix": _between("member_prefix", 9, 30, "an address only"),
    "life": _life,
    "reclaim_after": _reclaim_after,
    "mtu": _between("MTU", MTU_MIN, MTU_MAX, "each node chooses"),
    "dns": _dns,
    "ether_types": _ether_types,
}
