"""A whole document of the schema: read, checked in itself, sorted into networks (pure).

    told = sort_out(document)          # DocumentError names the key and the field
    told.networks["8056c2e21c000001"].members["16fd2706d6"].original

What it may clash with in the database is the importer's matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.refusal import RefusedError
from controller.schema.fields import Kind
from controller.schema.keys import (
    VERSION,
    VERSION_KEY,
    AssignmentsKey,
    Document,
    Hash,
    Key,
    MemberKey,
    NetworkKey,
    UserKey,
    VersionKey,
    parse,
)
from controller.schema.records import FieldError, check_user, read_member, read_network
from controller.schema.texts import interface, read
from protocol.ids import is_network_id, is_node_address
from protocol.messages import Code
from protocol.packing import IPInterface, IPNetwork


class DocumentError(RefusedError):
    """What is wrong with a document, by key and field."""

    def __init__(self, key: object, reason: str) -> None:
        super().__init__(Code.BAD_REQUEST, f"cannot import {key}: {reason}")


@dataclass(frozen=True, slots=True)
class ToldMember:
    original: Hash
    columns: dict[str, Any]
    node: dict[str, Any]


@dataclass(slots=True)
class ToldNetwork:
    id: str
    original: Hash = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    ranges: list[IPNetwork] = field(default_factory=list)
    members: dict[str, ToldMember] = field(default_factory=dict)
    assigned: dict[IPInterface, str] = field(default_factory=dict)  # to which address


@dataclass(slots=True)
class Told:
    users: dict[str, Hash] = field(default_factory=dict)
    networks: dict[str, ToldNetwork] = field(default_factory=dict)


def sort_out(document: Document) -> Told:
    """Raises DocumentError."""
    if document.get(VERSION_KEY) != VERSION:
        raise DocumentError(VERSION_KEY, f"the schema's version must be {VERSION!r}")
    told = Told()
    for text, value in document.items():
        try:
            _take(told, parse(text), value)
        except RefusedError as error:
            raise (
                error if isinstance(error, DocumentError) else DocumentError(text, error.message)
            ) from error
        except (FieldError, ValueError) as error:
            raise DocumentError(text, str(error)) from error
    for network in told.networks.values():
        _check_network(network)
    return told


def _take(told: Told, key: Key, value: Hash | str) -> None:
    if isinstance(key, VersionKey):
        return
    if isinstance(value, str):
        raise FieldError("a hash is needed, not text")
    match key:
        case UserKey(user):
            check_user(user, value)
            told.users[user] = dict(value)
        case NetworkKey(name):
            network = _network(told, name)
            network.original = dict(value)
            network.columns, network.ranges = read_network(value)
            _same("id", value, name)
        case MemberKey(name, address):
            _same("nwid", value, name)
            _same("id", value, address)
            columns, node = read_member(value)
            _network(told, name).members[address] = ToldMember(dict(value), columns, node)
        case AssignmentsKey(name):
            _network(told, name).assigned = _assignments(value)


def _network(told: Told, name: str) -> ToldNetwork:
    if not is_network_id(name):
        raise ValueError(f"{name!r} is not 16 lower-case hexadecimal digits")
    return told.networks.setdefault(name, ToldNetwork(name))


def _same(name: str, found: Mapping[str, str], wanted: str) -> None:
    if not found.get(name):
        raise FieldError(f"{name}: it is required")
    if found[name] != wanted:
        raise FieldError(f"{name}: {found[name]!r} is not {wanted!r}, as in the key")


def _assignments(value: Mapping[str, str]) -> dict[IPInterface, str]:
    found: dict[IPInterface, str] = {}
    seen = set()
    for text, address in value.items():
        assigned = interface(text)
        if not is_node_address(address):
            raise FieldError(f"{text}: {address!r} is not 10 lower-case hexadecimal digits")
        if assigned.ip in seen:
            raise FieldError(f"{text}: this address stands there twice")
        seen.add(assigned.ip)
        found[assigned] = address
    return found


def _check_network(network: ToldNetwork) -> None:
    """That its keys belong together, and ipAssignments say the same in both directions."""
    if not network.original:
        raise DocumentError(NetworkKey(network.id), "it is missing, and other keys belong to it")
    for route in network.columns["routes"].split(", "):
        via = route.partition(" via ")[2]
        if via and via not in network.members:
            raise DocumentError(NetworkKey(network.id), f"{route!r}: {via} is no member of it")
    mine: dict[str, set[IPInterface]] = {address: set() for address in network.members}
    for assigned, address in network.assigned.items():
        if address not in mine:
            raise DocumentError(
                AssignmentsKey(network.id), f"{assigned}: {address} is no member of the network"
            )
        mine[address].add(assigned)
    for address, member in network.members.items():
        text = member.original.get("ipAssignments", "")
        if text and set(read(Kind.INTERFACES, text)) != mine[address]:
            raise DocumentError(
                MemberKey(network.id, address),
                "ipAssignments: the network's ipAssignments say otherwise",
            )
