"""Our rows as the schema's hashes, and hashes as the columns of our rows (pure).

    network_hash(network, pools, "8056c2e21c")      read_network(hash)
    member_hash("8056c2e21c000001", node, member, held)      read_member(hash)

What an imported hash had in other words (`true` for `1`, a field missing, fields that nobody knows) is
kept in the row, and given back as long as the field says what it said then: export(import(x)) is x.
The field `zosnet` has, as JSON, what the schema has no field for, where it is not as in a new network.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from ipaddress import ip_network
from typing import Any, Literal

import msgspec

from controller.schema.fields import Kind, by_name
from controller.schema.keys import Hash
from controller.schema.texts import agrees, read, write
from controller.settings import Wanted, check_name, columns_of
from controller.store.records import Assignment, Member, Network, Node, Pool, State, printable
from protocol.keys import KEY_SIZE, is_low_order
from protocol.packing import IPNetwork

EXTRA = "zosnet"
_ROUTE = re.compile(r"[0-9a-f.:]+/[0-9]+ via [0-9a-f]{10}\Z")
IDENTITY = ":zosnet:"  # between address and key in the identity of a node of ours
_OF_NODES = {"identity", "lastSeen", "lastAt", "clientVersion", "clientOs"}
_EXTRA_NETWORK = (
    *("notes", "topology", "mesh_max", "member_prefix", "life", "reclaim_after"),
    *("mtu", "dns", "routes", "rfc4193", "sixplane"),
)


class FieldError(Exception):
    """A field that cannot be taken; the text begins with its name."""


class NetworkExtra(Wanted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    routes: tuple[str, ...] = ()


class MemberExtra(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    state: Literal["", "deauthorized", "banned"] = ""
    hidden: bool = False
    roles: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


def place_key(node: int) -> bytes:
    """Instead of the key of a member that came without one: nobody has the secret half of it."""
    return blake2b(b"%010x" % node, digest_size=KEY_SIZE, person=b"zosnet-place").digest()


def is_place(node: Node) -> bool:
    """A place that is kept for somebody whose key is not known."""
    return node.key == place_key(node.id)


def node_key(identity: str, node: int) -> bytes:
    """The key in an identity of ours; a place's key for any other."""
    address, found, key = identity.partition(IDENTITY)
    if not found:
        return place_key(node)
    try:
        data = bytes.fromhex(key)
    except ValueError as error:
        raise FieldError(f"identity: {identity!r} has no key") from error
    if len(data) != KEY_SIZE or address != f"{node:010x}":
        raise FieldError(f"identity: {identity!r} is not of {node:010x}")
    if is_low_order(data):
        raise FieldError("identity: its key is a point of low order")
    return data


# -- out


def network_hash(network: Network, pools: Iterable[Pool], controller: str) -> Hash:
    values: dict[str, Any] = {
        "id": network.id(controller),
        "name": network.name,
        "owner": network.owner,
        "desc": network.desc,
        "infrastructure": network.infrastructure,
        "private": network.private,
        "creationTime": network.created_at,
        "etherTypes": network.ether_types,
        "enableBroadcast": network.enable_broadcast,
        "v4AssignMode": network.v4_assign,
        "v4AssignPool": [pool.range for pool in pools if pool.family == 4],
        "v6AssignMode": network.v6_assign,
        "v6AssignPool": [pool.range for pool in pools if pool.family == 6],
        "ui": network.ui,
    }
    extra = {key: value for key, value in _described(network).items() if value != _PLAIN[key]}
    return _restore(_written("network", values, extra), network.kept)


def member_hash(network_id: str, node: Node, member: Member, held: Iterable[Assignment]) -> Hash:
    """`held`: its addresses, without those that rest."""
    values: dict[str, Any] = {
        "id": node.address,
        "nwid": network_id,
        "authorized": member.state == State.AUTHORIZED,
        "bridge": member.bridge,
        "name": member.name,
        "notes": member.notes,
        "authorizedBy": member.authorized_by,
        "authorizedAt": member.authorized_at,
        "identity": "" if is_place(node) else f"{node.address}{IDENTITY}{node.key.hex()}",
        "firstSeen": member.created_at,
        "lastSeen": node.last_seen,
        "lastAt": node.last_at,
        "clientVersion": node.client_version,
        "clientOs": node.client_os,
        "ipAssignments": [row.interface for row in held],
        "ui": member.ui,
    }
    implied = member.state in (State.AUTHORIZED, State.PENDING)
    extra = MemberExtra(
        state="" if implied else member.state,  # type: ignore[arg-type]  # one of the other two
        hidden=member.hidden,
        roles=member.role_list,
        prefixes=tuple(member.prefixes.split()),
    )
    told = _written("member", values, msgspec.to_builtins(extra))
    return _restore(told, member.kept)


def kept_of(record: str, original: Mapping[str, str], row_hash: Mapping[str, str]) -> str:
    """What is to be remembered of an imported hash beside the row that was made of it."""
    fields = by_name(record)
    kept: dict[str, tuple[str | None, str | None]] = {}
    for name in sorted({*original, *row_hash} - {"id", "nwid"}):
        given, now = original.get(name), row_hash.get(name)
        if given == now:
            continue
        known = name in fields and name not in _OF_NODES and None not in (given, now)
        if known and not agrees(fields[name].kind, str(given), str(now)):
            continue  # the row is the truth
        kept[name] = (given, now)
    return msgspec.json.encode(kept).decode() if kept else ""


def _written(record: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Hash:
    """Without what says nothing: empty texts and lists, times that never were."""
    fields = by_name(record)
    told = {
        name: write(fields[name].kind, value)
        for name, value in values.items()
        if value or fields[name].kind == Kind.BOOL
    }
    if extra:
        told[EXTRA] = msgspec.json.encode(extra, order="sorted").decode()
    return told


def _restore(told: Hash, kept: str) -> Hash:
    if not kept:
        return told
    before = msgspec.json.decode(kept, type=dict[str, tuple[str | None, str | None]])
    for name, (given, then) in before.items():
        if told.get(name) != then:
            continue  # changed since
        if given is None:
            told.pop(name, None)
        else:
            told[name] = given
    return told


def _described(network: Network) -> dict[str, Any]:
    values = {key: getattr(network, key) for key in _EXTRA_NETWORK}
    return values | {
        "life": network.life // 1000,
        "reclaim_after": network.reclaim_after // 1000,
        "dns": network.dns.split(),
        "routes": [text for text in network.routes.split(", ") if text],
    }


# -- in


def read_network(found: Mapping[str, str]) -> tuple[dict[str, Any], list[IPNetwork]]:
    """The columns of its row and its ranges. Raises FieldError, RefusedError."""
    values = _read("network", found)
    check_name(values["name"])
    columns = {
        "name": values["name"],
        "owner": values["owner"],
        "desc": values["desc"],
        "infrastructure": values["infrastructure"],
        "private": values["private"],
        "created_at": values["creationTime"],
        "ether_types": values["etherTypes"],
        "enable_broadcast": values["enableBroadcast"],
        "v4_assign": values["v4AssignMode"],
        "v6_assign": values["v6AssignMode"],
        "ui": values["ui"],
    }
    extra = _extra(found, NetworkExtra)
    for route in extra.routes:
        _check_route(route)
    columns |= columns_of(extra) | {"routes": ", ".join(extra.routes)}
    return columns, values["v4AssignPool"] + values["v6AssignPool"]


def _check_route(text: str) -> None:
    try:
        ip_network(text.partition(" via ")[0])
    except ValueError as error:
        raise FieldError(f"{EXTRA}: {text!r} is no route") from error
    if not _ROUTE.match(text):
        raise FieldError(f"{EXTRA}: {text!r} is no route")


def read_member(found: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of its row, and those of its node's. Raises FieldError."""
    values = _read("member", found)
    extra = _extra(found, MemberExtra)
    state = State.AUTHORIZED if values["authorized"] else State.PENDING
    if extra.state and not values["authorized"]:
        state = State(extra.state)
    member = {
        "state": state,
        "hidden": extra.hidden or read(Kind.BOOL, found.get("hideInSlushpile", "")),
        "name": printable(values["name"])[:64],
        "notes": values["notes"],
        "roles": ",".join(sorted(set(extra.roles))),
        "prefixes": " ".join(extra.prefixes),
        "created_at": values["firstSeen"],
        "authorized_at": values["authorizedAt"],
        "authorized_by": values["authorizedBy"],
        "bridge": values["bridge"],
        "ui": values["ui"],
    }
    number = int(values["id"], 16)
    node = {
        "id": number,
        "key": node_key(values["identity"], number),
        "name": member["name"],
        "first_seen": values["firstSeen"],
        "last_seen": values["lastSeen"],
        "last_at": values["lastAt"],
        "client_version": values["clientVersion"],
        "client_os": values["clientOs"],
    }
    return member, node


def check_user(user: str, found: Mapping[str, str]) -> None:
    """Raises FieldError."""
    values = _read("user", found)
    if values["id"] != user or values["id"] != f"{values['auth']}:{values['authUserId']}":
        raise FieldError(f"id: {values['id']!r} is not auth:authUserId, as in the key")


def _read(record: str, found: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, field in by_name(record).items():
        if field.required and not found.get(name):
            raise FieldError(f"{name}: it is required")
        try:
            values[name] = read(field.kind, found.get(name, ""))
        except ValueError as error:
            raise FieldError(f"{name}: {error}") from error
    return values


def _extra(found: Mapping[str, str], kind: Any) -> Any:
    try:
        return msgspec.json.decode(found.get(EXTRA, "{}"), type=kind)
    except msgspec.MsgspecError as error:
        raise FieldError(f"{EXTRA}: {error}") from error


_PLAIN = _described(Network(0, "", "", True, 0, "mesh", 0, "", 0, 0, 0, 0, 0, 0, ""))
