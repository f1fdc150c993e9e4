"""Members: list, show, authorize, deauthorize, ban, forget, set.

Deauthorize keeps the member and its addresses and lets it wait; ban also shuts the door to its key;
forget takes it out of the network, and its addresses rest.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import select

from controller import model
from controller.assignment import release_addresses
from controller.membership import certified
from controller.publish import withdraw
from controller.records import Assignment, Member, Network, State, printable
from controller.refusal import RefusedError
from controller.verbs.office import Found, Items, Office, iso
from controller.work import Work
from protocol.messages import Code
from protocol.statements import ROLES


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    member: str


class List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`hidden` ones only on request."""

    network: str
    hidden: bool = False


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    member: str
    name: str | None = None
    roles: tuple[str, ...] | None = None
    notes: str | None = None
    hidden: bool | None = None


def list_all(office: Office, wanted: List) -> Items:
    network = office.network(wanted.network)
    return [
        item
        for item in _describe_all(office, network, model.MEMBER.c.removed_at == 0)
        if wanted.hidden or not item["hidden"]
    ]


def show(office: Office, wanted: Name) -> Items:
    network = office.network(wanted.network)
    found = office.member(office.registry.work(office.now_ms), network, wanted.member)
    return _describe(office, found)


def authorize(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        return msgspec.structs.replace(
            found.member,
            state=State.AUTHORIZED,
            authorized_at=work.now_ms,
            authorized_by="admin",
        )

    return _set_state(office, wanted, State.AUTHORIZED, do)


def deauthorize(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        gone = withdraw(work, found.member, found.node.key)
        return msgspec.structs.replace(gone, state=State.DEAUTHORIZED)

    return _set_state(office, wanted, State.DEAUTHORIZED, do)


def ban(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        gone = withdraw(work, found.member, found.node.key)
        return msgspec.structs.replace(gone, state=State.BANNED)

    return _set_state(office, wanted, State.BANNED, do)


def forget(office: Office, wanted: Name) -> Items:
    network = office.network(wanted.network)

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        gone = withdraw(work, found.member, found.node.key)
        work.members.put(msgspec.structs.replace(gone, removed_at=work.now_ms))
        release_addresses(office.registry.book, work, network.number, found.node.id)
        _note(office, work, "member.forget", found)
        return found

    found = office.change(do)
    return [{"address": found.node.address, "name": found.member.name, "network": network.name}]


def change(office: Office, wanted: Set) -> Items:
    network = office.network(wanted.network)
    values: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("notes", "hidden")
        if getattr(wanted, name) is not None
    }
    if wanted.name is not None:
        values["name"] = printable(wanted.name)[:64]
    if wanted.roles is not None:
        values["roles"] = check_roles(wanted.roles)

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        member = msgspec.structs.replace(found.member, **values)
        if member.visible and (member.roles, member.name) != (
            found.member.roles,
            found.member.name,
        ):
            content = member.roles != found.member.roles
            member = certified(member, network, work.now_ms, content=content)
            work.touch(network.number, found.node.id)
        work.members.put(member)
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        _note(office, work, "member.set", found, said)
        return found

    found = office.change(do)
    office.desk.push.certificate(found.node.key, network.number, office.now_ms)
    return _describe(office, found)


def check_roles(roles: tuple[str, ...]) -> str:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot give the role {unknown[0]!r}: there is none",
            hint=f"roles: {', '.join(ROLES)}",
        )
    return ",".join(sorted(set(roles)))


def _set_state(
    office: Office, wanted: Name, state: State, do: Callable[[Work, Found], Member]
) -> Items:
    network = office.network(wanted.network)

    def change_state(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        if found.member.state != state:
            work.members.put(do(work, found))
            _note(office, work, f"member.{state}", found)
        return found

    found = office.change(change_state)
    if found.member.state != state:
        office.wake(found, state)
    return _describe(office, found)


def _note(office: Office, work: Work, action: str, found: Found, detail: str = "") -> None:
    network_id = found.network.id(office.registry.controller)
    work.note("admin", action, f"{network_id}/{found.node.address}", detail)


def _describe(office: Office, found: Found) -> Items:
    return _describe_all(office, found.network, model.MEMBER.c.node == found.node.id)


def _describe_all(office: Office, network: Network, condition: Any) -> Items:
    """Read anew, so that it shows what is stored."""
    number = network.number
    columns = [model.MEMBER.c[name] for name in Member.__struct_fields__]
    node = model.NODE
    query = (
        select(node.c.key, node.c.client_version, node.c.client_os, node.c.last_seen)
        .add_columns(node.c.last_at, *columns)
        .join(model.MEMBER, model.MEMBER.c.node == node.c.id)
        .where(model.MEMBER.c.network == number, condition)
        .order_by(model.MEMBER.c.created_at, model.MEMBER.c.node)
    )
    held = _addresses(office, number)
    items = []
    for key, version, system, seen, last_at, *values in office.connection.execute(query):
        member = Member(*values)
        session = office.sessions.get(key)
        items.append(
            {
                "address": f"{member.node:010x}",
                "name": member.name,
                "state": member.state,
                "authorized": member.state == State.AUTHORIZED,
                "joined": member.wireguard is not None,
                "online": session is not None,
                "roles": list(member.role_list),
                "ip": [str(row.interface) for row in held.get(member.node, [])],
                "endpoints": list(member.endpoint_list),
                "families": list(member.family_list),
                "serial": member.serial,
                "hidden": member.hidden,
                "notes": member.notes,
                "last_at": session.observed if session else last_at,
                "last_seen": iso(office.now_ms if session else seen),
                "client_version": version,
                "client_os": system,
                "authorized_by": member.authorized_by,
                "created": iso(member.created_at),
                "key": key.hex(),
            }
        )
    return items


def _addresses(office: Office, number: int) -> dict[int, list[Assignment]]:
    table = model.ASSIGNMENT
    query = (
        select(*[table.c[name] for name in Assignment.__struct_fields__])
        .where(table.c.network == number, table.c.released_at == 0)
        .order_by(table.c.family, table.c.address)
    )
    held: dict[int, list[Assignment]] = {}
    for row in office.connection.execute(query):
        assignment = Assignment(*row)
        held.setdefault(assignment.node, []).append(assignment)
    return held
