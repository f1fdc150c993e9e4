"""Members: list, show; authorize, deauthorize, ban, unban, forget.

    pending ── authorize ──▶ authorized ── deauthorize ──▶ deauthorized ── authorize ──▶ …
    any ── ban ──▶ banned ── unban ──▶ deauthorized            any ── forget ──▶ gone

Deauthorize keeps the member and its addresses and lets it wait; ban also shuts the door to its key;
forget takes it out of the network, and its addresses rest. The node is told at once.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec

from controller.addresses.assignment import release_addresses
from controller.addresses.prefixes import release_prefixes
from controller.members.departure import dismiss_if_out
from controller.members.management import ROLE, leave_seat
from controller.members.publish import withdraw
from controller.refusal import RefusedError
from controller.store import model
from controller.store.records import Member, State
from controller.store.work import Work
from controller.verbs.member_card import describe, describe_all
from controller.verbs.office import Found, Items, Office
from controller.verbs.paging import Paged, Told, like, page, position
from controller.verbs.routes import drop_routes
from protocol.messages import Code
from protocol.statements import ROLES

GONE = "forgotten"  # what a node with a place elsewhere is told of one that it has lost


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    member: str


class Forget(Name, frozen=True, forbid_unknown_fields=True):
    """`force`: a management member too."""

    force: bool = False


class List(Paged, frozen=True, forbid_unknown_fields=True):
    """`hidden` ones only on request; `name` with * and ?; one of the `states`, if there are some."""

    network: str
    hidden: bool = False
    name: Annotated[str, msgspec.Meta(max_length=256)] = ""
    states: tuple[State, ...] = ()
    role: str = ""


def list_all(office: Office, wanted: List) -> Told:
    """In the order of their addresses, which is that of the primary key."""
    network, table = office.network(wanted.network), model.MEMBER
    conditions = [table.c.removed_at == 0, table.c.node > position(wanted, base=16)]
    if not wanted.hidden:
        conditions.append(table.c.hidden.is_(False))
    if wanted.states:
        conditions.append(table.c.state.in_(wanted.states))
    if wanted.name:
        conditions.append(table.c.name.like(like(wanted.name), escape="!"))
    if wanted.role:
        wrapped = "," + table.c.roles + ","
        conditions.append(wrapped.contains(f",{check_roles((wanted.role,))},", autoescape=True))
    items = describe_all(office, network, *conditions, limit=wanted.limit + 1)
    return page(items, wanted.limit, lambda item: item, cursor=lambda item: str(item["address"]))


def show(office: Office, wanted: Name) -> Items:
    network = office.network(wanted.network)
    found = office.member(office.registry.work(office.now_ms), network, wanted.member)
    return describe(office, found)


def authorize(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        _refuse_banned(found, "authorize")
        return msgspec.structs.replace(
            found.member,
            state=State.AUTHORIZED,
            hidden=False,
            authorized_at=work.now_ms,
            authorized_by=office.actor,
        )

    return _set_state(office, wanted, State.AUTHORIZED, do)


def deauthorize(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        _refuse_banned(found, "deauthorize")
        gone = withdraw(work, found.member, found.node.key)
        return msgspec.structs.replace(gone, state=State.DEAUTHORIZED)

    return _set_state(office, wanted, State.DEAUTHORIZED, do)


def ban(office: Office, wanted: Name) -> Items:
    def do(work: Work, found: Found) -> Member:
        gone = withdraw(work, found.member, found.node.key)
        return msgspec.structs.replace(gone, state=State.BANNED)

    return _set_state(office, wanted, State.BANNED, do)


def unban(office: Office, wanted: Name) -> Items:
    """Its key is let in again; what it may do there is said by `authorize`."""

    def do(_: Work, found: Found) -> Member:
        if found.member.state != State.BANNED:
            raise RefusedError(
                Code.CONFLICT, f"cannot unban {_called(found)}: it is {found.member.state}"
            )
        return msgspec.structs.replace(found.member, state=State.DEAUTHORIZED)

    return _set_state(office, wanted, State.DEAUTHORIZED, do, action="member.unbanned")


def forget(office: Office, wanted: Forget) -> Items:
    network = office.network(wanted.network)

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        if ROLE in found.member.role_list and not wanted.force:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot forget {_called(found)}: it is the management member of network"
                f" {network.name}",
                hint="--force does it all the same; a new management token binds the next one",
            )
        gone = withdraw(work, found.member, found.node.key)
        gone = release_prefixes(work, gone)
        work.members.put(msgspec.structs.replace(gone, removed_at=work.now_ms, prefixes=""))
        leave_seat(office.registry, work, network.number, found.node.id)
        release_addresses(office.registry.book, work, network.number, found.node.id)
        drop_routes(office, work, network, found.node)
        note(office, work, "member.forget", found)
        dismiss_if_out(work, found.node, "it was forgotten")
        return found

    found = office.change(do)
    if office.registry.networks[network.number].routes != network.routes:
        office.tell_settings(network.number)
    office.wake(found, GONE)
    return [{"address": found.node.address, "name": found.member.name, "network": network.name}]


def check_roles(roles: tuple[str, ...]) -> str:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot give the role {unknown[0]!r}: there is none",
            hint=f"roles: {', '.join(ROLES)}",
        )
    return ",".join(sorted(set(roles)))


def note(office: Office, work: Work, action: str, found: Found, detail: str = "") -> None:
    network_id = found.network.id(office.registry.controller)
    work.note(office.actor, action, f"{network_id}/{found.node.address}", detail)


def _set_state(
    office: Office,
    wanted: Name,
    state: State,
    do: Callable[[Work, Found], Member],
    *,
    action: str = "",
) -> Items:
    network = office.network(wanted.network)

    def change_state(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        if found.member.state != state:
            work.members.put(do(work, found))
            note(office, work, action or f"member.{state}", found)
            dismiss_if_out(work, found.node, "it is banned")
        return found

    found = office.change(change_state)
    if found.member.state != state:
        office.wake(found, state)
    return describe(office, found)


def _refuse_banned(found: Found, verb: str) -> None:
    """A ban is lifted by its own word, and by no other."""
    if found.member.state == State.BANNED:
        which = f"{found.network.name} {found.node.address}"
        raise RefusedError(
            Code.CONFLICT,
            f"cannot {verb} {_called(found)}: it is banned",
            hint=f"first: ncadm member unban {which}",
        )


def _called(found: Found) -> str:
    return f"member {found.member.name or found.node.address}"
