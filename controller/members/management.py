"""A network's management member: one, at the first address of its ranges, for as long as it likes.

    check_seat(registry, work, number, node)      # RefusedError: somebody else has it
    take_seat(registry, work, number, node)       # the same, and it has it
    leave_seat(registry, work, number, node)

Ranges give no member their first address (a gateway's): it waits for the first key that comes with a
token whose roles have `management`, or for the member that an operator gives the role.
"""

from sqlalchemy import ColumnElement, literal_column, select

from controller.addresses.assignment import release_one
from controller.addresses.fixed import assign_fixed, check_free
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.store.model import MEMBER
from controller.store.work import Work
from protocol.messages import Code
from protocol.packing import IPAddress

ROLE = "management"


def holder(work: Work, number: int) -> int | None:
    """The node that is it, also one that this batch has only just made so."""
    fresh = (m for m in work.members.rows.values() if m is not None and m.network == number)
    seen = {member.node: member.live and ROLE in member.role_list for member in fresh}
    table = MEMBER.c
    roles: ColumnElement[bool] = literal_column("member.roles <> ''")  # as the index has it
    query = select(table.node).where(
        table.network == number,
        roles,
        table.removed_at == 0,
        ("," + table.roles + ",").contains(f",{ROLE},"),
    )
    stored = dict.fromkeys(work.connection.execute(query).scalars(), True)
    return next((node for node, is_it in (stored | seen).items() if is_it), None)


def check_seat(registry: Registry, work: Work, number: int, node: int) -> None:
    """Whether this node may take it; nothing is written. Raises RefusedError."""
    other = holder(work, number)
    if other not in (None, node):
        network = registry.networks[number]
        raise RefusedError(
            Code.CONFLICT,
            f"cannot bind the management member of network {network.name}: {other:010x} is it",
            hint=f"ncadm member forget {network.name} {other:010x} --force",
        )
    for address in seats(registry, number):
        check_free(registry.book, work, number, node, address, seat=True)


def take_seat(registry: Registry, work: Work, number: int, node: int) -> None:
    """Give the first addresses of the network's ranges to this node. Raises RefusedError."""
    check_seat(registry, work, number, node)
    for address in seats(registry, number):
        assign_fixed(registry.book, work, number, node, address, kind="reserved", seat=True)


def leave_seat(registry: Registry, work: Work, number: int, node: int) -> None:
    """The addresses are anybody's who takes the seat, at once."""
    mine = set(seats(registry, number))
    for row in work.addresses(number, node):
        if not row.released_at and row.interface.ip in mine:
            release_one(registry.book, work, row, rest=False)


def seats(registry: Registry, number: int) -> list[IPAddress]:
    """The first address of the first range of each family."""
    first: dict[int, IPAddress] = {}
    for pool in registry.book.pools(number):
        first.setdefault(pool.family, pool.range.network_address + 1)
    return list(first.values())
