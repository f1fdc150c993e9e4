"""A member as the admin socket shows it: what is stored, and what the sessions know.

Its `connection` is `connected`, `disconnected`, `expected` (it never came) or `pending` (it waits to
be authorized), and `age` for how many seconds it has been so.
"""

from typing import Any

from sqlalchemy import select

from controller.front.sessions import Session
from controller.store import model
from controller.store.records import Assignment, Member, Network, Node, State, address_from
from controller.verbs.office import Found, Items, Office, iso


def describe(office: Office, found: Found) -> Items:
    return describe_all(office, found.network, model.MEMBER.c.node == found.node.id)


def describe_all(
    office: Office, network: Network, *conditions: Any, limit: int | None = None
) -> Items:
    """Read anew, so that it shows what is stored."""
    number = network.number
    columns = [model.NODE.c[name] for name in Node.__struct_fields__]
    query = (
        select(*columns, *[model.MEMBER.c[name] for name in Member.__struct_fields__])
        .join(model.MEMBER, model.MEMBER.c.node == model.NODE.c.id)
        .where(model.MEMBER.c.network == number, *conditions)
        .order_by(model.MEMBER.c.node)
        .limit(limit)
    )
    found = [
        (Node(*row[: len(columns)]), Member(*row[len(columns) :]))
        for row in office.connection.execute(query)
    ]
    held = _addresses(office, number, [node.id for node, _ in found])
    return [_card(office, node, member, held.get(node.id, [])) for node, member in found]


def _card(office: Office, node: Node, member: Member, held: list[Assignment]) -> dict[str, Any]:
    session = office.sessions.get(node.key)
    seen, last_at = office.desk.seen.get(node.id, (node.last_seen, node.last_at))
    if session is not None:
        seen, last_at = office.now_ms, session.observed
    connection, age = _connection(office, member, session, seen)
    return {
        "address": node.address,
        "name": member.name,
        "state": member.state,
        "authorized": member.state == State.AUTHORIZED,
        "connection": connection,
        "age": age,
        "joined": member.wireguard is not None,
        "online": session is not None,
        "roles": list(member.role_list),
        "ip": [f"{address_from(row.address, row.family)}/{row.length}" for row in held],
        "prefixes": member.prefixes.split(),
        "endpoints": list(member.endpoint_list),
        "families": list(member.family_list),
        "serial": office.registry.networks[member.network].fold + member.serial,
        "hidden": member.hidden,
        "notes": member.notes,
        "first_seen": iso(node.first_seen),
        "last_seen": iso(seen),
        "last_at": last_at,
        "client_version": node.client_version,
        "client_os": node.client_os,
        "generation": node.generation,
        "cloned": iso(member.cloned_at),
        "authorized_by": member.authorized_by,
        "authorized_at": iso(member.authorized_at),
        "created": iso(member.created_at),
        "key": node.key.hex(),
    }


def _connection(
    office: Office, member: Member, session: Session | None, seen: int
) -> tuple[str, int]:
    if member.state == State.PENDING:
        return "pending", (office.now_ms - member.created_at) // 1000
    if session is not None:
        return "connected", int(office.now - session.since)
    if not seen:
        return "expected", (office.now_ms - member.created_at) // 1000
    return "disconnected", (office.now_ms - seen) // 1000


def _addresses(office: Office, number: int, nodes: list[int]) -> dict[int, list[Assignment]]:
    table = model.ASSIGNMENT
    query = (
        select(*[table.c[name] for name in Assignment.__struct_fields__])
        .where(table.c.node.in_(nodes), table.c.network == number, table.c.released_at == 0)
        .order_by(table.c.family, table.c.address)
    )
    held: dict[int, list[Assignment]] = {}
    for row in office.connection.execute(query):
        assignment = Assignment(*row)
        held.setdefault(assignment.node, []).append(assignment)
    return held
