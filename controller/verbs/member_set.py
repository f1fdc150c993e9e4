"""`member set`: what an operator says of a member. What its certificate says, raises its serial."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import msgspec

from controller.addresses.assignment import ensure_addresses
from controller.addresses.fixed import change_fixed
from controller.members.certificate import certified
from controller.members.management import ROLE, leave_seat, seats, take_seat
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.settings import Blob, Notes, check_ui
from controller.store.records import Member, printable
from controller.store.work import Work
from controller.verbs.member import check_roles, note
from controller.verbs.member_card import describe
from controller.verbs.office import Found, Items, Office
from controller.verbs.routes import route_to
from protocol.messages import Code
from protocol.packing import IPAddress


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None: as it is. `addresses` and `prefixes` are all that it has by hand from now on.

    `cloned` false: the copy of its disk is gone, show the mark no more.
    """

    network: str
    member: str
    name: str | None = None
    roles: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    prefixes: tuple[str, ...] | None = None
    notes: Notes | None = None
    hidden: bool | None = None
    cloned: bool | None = None
    bridge: bool | None = None
    ui: Blob | None = None


def change(office: Office, wanted: Set) -> Items:
    network = office.network(wanted.network)
    values = _values(wanted)

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        before = found.member
        member = msgspec.structs.replace(before, **values)
        moved = _move(office.registry, work, before, member, wanted.addresses)
        content = moved or member.roles != before.roles
        if member.visible and (content or member.name != before.name):
            member = certified(member, network, work.now_ms, content=content)
            work.touch(network.number, found.node.id)
        work.members.put(member)
        if wanted.prefixes is not None:
            route_to(office, work, network, found.node.id, wanted.prefixes)
        note(office, work, "member.set", found, _said(wanted))
        return found

    found = office.change(do)
    office.desk.push.certificate(found.node.key, network.number, office.now_ms)
    if office.registry.networks[network.number].routes != network.routes:
        office.tell_settings(network.number)
    return describe(office, found)


def addresses_of(texts: Iterable[str]) -> list[IPAddress]:
    """Raises RefusedError."""
    found = []
    for text in texts:
        try:
            found.append(ip_address(text))
        except ValueError as error:
            raise RefusedError(
                Code.BAD_REQUEST,
                f"cannot assign {text!r}: it is no address",
                hint="without a prefix length, such as 10.9.0.7 or fd00:9::7",
            ) from error
    return found


def _values(wanted: Set) -> dict[str, Any]:
    """The columns that change."""
    values: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("notes", "hidden", "bridge")
        if getattr(wanted, name) is not None
    }
    if wanted.name is not None:
        values["name"] = printable(wanted.name)[:64]
    if wanted.ui is not None:
        values["ui"] = check_ui(wanted.ui)
    if wanted.roles is not None:
        values["roles"] = check_roles(wanted.roles)
    if wanted.cloned is False:
        values["cloned_at"] = 0
    return values


def _move(
    registry: Registry,
    work: Work,
    before: Member,
    member: Member,
    addresses: tuple[str, ...] | None,
) -> bool:
    """Other addresses, by hand or with the seat of the management member; whether there are some."""
    number, node = member.network, member.node
    held = _interfaces(work, member)
    seated, sits = ROLE in before.role_list, ROLE in member.role_list
    if addresses is not None:
        fixed = addresses_of(addresses)
        kept = [s for s in seats(registry, number) if seated and sits and s not in fixed]
        change_fixed(registry.book, work, number, node, [*kept, *fixed])
    if seated and not sits:
        leave_seat(registry, work, number, node)
    if sits and not seated:
        take_seat(registry, work, number, node)
    if member.visible:  # nobody who is in is without an address
        ensure_addresses(registry.book, work, number, node)
    return held != _interfaces(work, member)


def _interfaces(work: Work, member: Member) -> list[bytes]:
    rows = work.addresses(member.network, member.node)
    return [row.packed for row in rows if not row.released_at]


def _said(wanted: Set) -> str:
    told = msgspec.structs.asdict(wanted).items()
    return ", ".join(
        f"{key}={' '.join(value) if isinstance(value, tuple) else value}"
        for key, value in told
        if value is not None and key not in ("network", "member")
    )
