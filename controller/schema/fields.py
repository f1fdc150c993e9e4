"""Each field of the schema's records with its rule (pure data).

M: people change it. R: computed, or changed only by the operation that `way` names. H: no answer shows
it. What is stored and exported without an effect in this overlay has `effect` False.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.refusal import RefusedError
from protocol.messages import Code


class Rule(StrEnum):
    MUTABLE = "M"
    READ_ONLY = "R"
    HIDDEN = "H"


class Kind(StrEnum):
    TEXT = "text"
    BOOL = "boolean"
    TIME = "milliseconds"
    NETWORK = "16 hex digits"
    ADDRESS = "10 hex digits"
    USER = "auth:authUserId"
    MODE4 = "none, zt or dhcp"
    MODE6 = "none, zt, v6native or dhcp6"
    RANGES = "network/bits"
    INTERFACES = "address/bits, comma between"
    ETHER_TYPES = "hexadecimal, comma between"
    JSON = "JSON as text"


@dataclass(frozen=True, slots=True)
class Field:
    """`key`: what our verbs call it. `way`: how it is changed, when not by `set`."""

    name: str
    rule: Rule
    kind: Kind = Kind.TEXT
    required: bool = False
    key: str = ""
    way: str = ""
    effect: bool = True


M, R, H = Rule.MUTABLE, Rule.READ_ONLY, Rule.HIDDEN
_KEPT = "kept as it was imported"

USER = (
    Field("id", R, Kind.USER, required=True),
    Field("auth", R, required=True),
    Field("authUserId", R, required=True),
    Field("email", M, effect=False),
    Field("confirmed", R, Kind.BOOL, effect=False),
    Field("lastLogin", R, Kind.TIME, effect=False),
    Field("creationTime", R, Kind.TIME, effect=False),
    Field("displayName", M, effect=False),
    Field("stripeCustomerId", R, effect=False),
    Field("referrals", R, effect=False),
)

NETWORK = (
    Field("id", R, Kind.NETWORK, required=True, key="id"),
    Field("name", M, required=True, key="name"),
    Field("owner", R, Kind.USER, key="owner", way="ncadm network give"),
    Field("billingUser", R, Kind.USER, way=_KEPT, effect=False),
    Field("billingUserConfirmed", R, Kind.BOOL, way=_KEPT, effect=False),
    Field("desc", M, key="desc"),
    Field("infrastructure", R, Kind.BOOL, key="infrastructure", way="controller.yaml"),
    Field("private", M, Kind.BOOL, key="private"),
    Field("creationTime", R, Kind.TIME, key="created"),
    Field("etherTypes", M, Kind.ETHER_TYPES, key="ether_types", effect=False),
    Field("enableBroadcast", M, Kind.BOOL, key="enable_broadcast", effect=False),
    Field("v4AssignMode", M, Kind.MODE4, key="v4_assign"),
    Field("v4AssignPool", M, Kind.RANGES, key="ranges", way="ncadm pool"),
    Field("v6AssignMode", M, Kind.MODE6, key="v6_assign"),
    Field("v6AssignPool", M, Kind.RANGES, key="ranges", way="ncadm pool"),
    Field("ui", M, Kind.JSON, key="ui", effect=False),
)

MEMBER = (
    Field("id", R, Kind.ADDRESS, required=True, key="address"),
    Field("nwid", R, Kind.NETWORK, required=True),
    Field(
        "authorized",
        M,
        Kind.BOOL,
        key="authorized",
        way="ncadm member authorize and deauthorize",
    ),
    Field("bridge", M, Kind.BOOL, key="bridge", effect=False),
    Field("name", M, key="name"),
    Field("notes", M, key="notes"),
    Field("authorizedBy", R, Kind.USER, key="authorized_by", way="ncadm member authorize"),
    Field("authorizedAt", R, Kind.TIME, key="authorized_at", way="ncadm member authorize"),
    Field("identity", R, key="key"),
    Field("firstSeen", R, Kind.TIME, key="created"),
    Field("lastSeen", R, Kind.TIME, key="last_seen"),
    Field("lastAt", R, key="last_at"),
    Field("clientVersion", R, key="client_version"),
    Field("clientOs", R, key="client_os"),
    Field("ipAssignments", R, Kind.INTERFACES, key="ip", way="ncadm member set --address"),
    Field("ui", M, Kind.JSON, key="ui", effect=False),
)

# what our own rows have beside the schema and people do not write
OURS = {
    "network": (
        *(Field(name, R, key=name) for name in ("revision", "epoch", "members", "online")),
        *(Field(name, H, key=name) for name in ("purged", "state_at", "state_revision")),
        *(Field(name, H, key=name) for name in ("request", "kept", "closed_at")),
    ),
    "member": (
        *(Field(name, R, key=name) for name in ("serial", "revision", "joined", "online")),
        *(Field(name, H, key=name) for name in ("wireguard", "removed_at", "left_at", "kept")),
    ),
}
RECORDS = {"user": USER, "network": NETWORK, "member": MEMBER}


def by_name(record: str) -> dict[str, Field]:
    """The schema's own fields of a record."""
    return {field.name: field for field in RECORDS[record]}


def check_writable(record: str, names: Iterable[str]) -> None:
    """Raises RefusedError for the first of these keys that nobody may set, by its name."""
    known = {name: f for f in OURS[record] for name in (f.name, f.key)}
    known |= {name: f for f in RECORDS[record] for name in (f.key, f.name) if name}
    for name in names:
        field = known.get(name)
        if field is None:
            continue
        way = field.way if field.way != _KEPT else ""
        if field.rule is M and not way and field.key != name:
            raise RefusedError(
                Code.BAD_REQUEST, f"cannot set {name}: it is called {field.key} here"
            )
        reason = "it is read-only" if field.rule is R else "it is set in another way"
        if field.rule is H:
            reason = "it is not for people"
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot set {name} of a {record}: {reason}",
            hint=f"see: {way}" if way else "",
        )
