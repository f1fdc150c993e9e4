"""Other pools for a network, or other rules for its addresses: who is left without a place in them, and
other addresses for those.

    settle(registry, work, network, pools, actor=…, move=True)      # in one transaction

An address is stranded when no pool has it: one that a member got by itself outside of what members
get, a fixed one outside of the prefix, and with `member_prefix` one that is not a subnet's first. With
`move` its holder gets another at once, and a certificate that says so; without, it keeps the old one.
Members that lack an address of a family that is new in the network get one.
"""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import and_, exists, not_, or_, select

from controller.addresses.assignment import ensure_addresses, families, release_one
from controller.addresses.pools import ends_of, shape_of, subnet_size
from controller.members.certificate import renew
from controller.members.publish import reissue_hubs
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.store.model import ASSIGNMENT, MEMBER
from controller.store.records import Assignment, Network, Pool, State
from controller.store.work import Work
from protocol.messages import Code

MEMBERS_MAX = 10_000  # in one transaction: nobody else is answered meanwhile
_CHUNK = 256
_NAMED = 5


def settle(
    registry: Registry,
    work: Work,
    network: Network,
    pools: Sequence[Pool],
    *,
    actor: str,
    move: bool,
) -> list[Assignment]:
    """Members as they are to be in `network` with `pools`; the stranded addresses as they were.
    The rows of network and pools are the caller's to write. Raises RefusedError.
    """
    number, book = network.number, registry.book
    before = work.network(number) or network
    had, ranges = families(book, before), {pool.prefix for pool in book.pools(number)}
    doubtful = _doubtful(work, network, pools)
    stranded = [row for row in doubtful if home_of(network, pools, row) is None]
    moved = {row.node for row in stranded} if move else set()
    renewed = moved | {row.node for row in doubtful if row not in stranded}
    if _rules(before) != _rules(network):
        renewed |= _members(work, network, set())
    book.replace(number, list(pools))
    work.put_network(network)
    new = families(book, network) - had
    lacking = _members(work, network, new) if new else set()
    _check_count(renewed | lacking)
    _read(work, sorted(renewed | lacking))
    damaged = {node for node in renewed | lacking if work.seals.is_damaged(number, node)}
    for row in doubtful:
        if row.node in damaged:
            continue
        home = home_of(network, pools, row)
        if home is not None:
            work.assignments.put(msgspec.structs.replace(row, length=home.range.prefixlen))
        elif move:
            release_one(book, work, row)
    left: dict[int, list[Assignment]] = {}
    for row in stranded:
        left.setdefault(row.node, []).append(row)
    for node in sorted((moved | lacking) - damaged):
        _place(registry, work, network, node, left=left.get(node, ()), actor=actor)
    for node in sorted((renewed | lacking) - damaged):
        renew(work, network, node)
    if {pool.prefix for pool in pools} != ranges or _rules(before) != _rules(network):
        reissue_hubs(registry, work, number)
    return stranded


def home_of(network: Network, pools: Iterable[Pool], row: Assignment) -> Pool | None:
    """The pool that has this address, None: it is stranded."""
    address = int.from_bytes(row.address)
    for pool in pools:
        base, end = ends_of(pool)
        if pool.family != row.family or not base < address <= end - (row.family == 4):
            continue
        if row.kind == "auto":
            if address in shape_of(pool, network.member_prefix):
                return pool
        elif (
            row.family == 6
            or not network.member_prefix
            or (address - base) % subnet_size(network.member_prefix) == 1
        ):
            return pool
    return None


def addressing(network: Network) -> tuple[object, ...]:
    """What `settle` looks at."""
    return *_rules(network), network.v4_assign, network.v6_assign


def refuse(
    work: Work, what: str, stranded: Sequence[Assignment], *, force: bool = True
) -> RefusedError:
    """Why something cannot be done to a network's addresses: who would be stranded."""
    some = ", ".join(f"{row.interface.ip} ({_name(work, row)})" for row in stranded[:_NAMED])
    more = f" and {len(stranded) - _NAMED} more" if len(stranded) > _NAMED else ""
    return RefusedError(
        Code.CONFLICT,
        f"cannot {what}: members have addresses that would not fit: {some}{more}",
        hint="--renumber gives them others (with --dry-run it only shows them)"
        + ("; --force lets them keep these" if force else ""),
    )


def _place(
    registry: Registry,
    work: Work,
    network: Network,
    node: int,
    *,
    left: Iterable[Assignment],
    actor: str,
) -> None:
    """Addresses for a member that has lost those in `left`, or lacks some."""
    rows = ensure_addresses(registry.book, work, network.number, node)
    gone = {row.family: row for row in left}
    now = [str(row.interface.ip) for row in rows if row.family in gone or not gone]
    old = [str(row.interface.ip) for row in left]
    said = f"{', '.join(old) or 'none'} → {', '.join(now) or 'none'}"
    thing = f"{network.id(registry.controller)}/{node:010x}"
    work.note(actor, "member.renumber", thing, said)


def _rules(network: Network) -> tuple[int, bool, bool]:
    """What certificates of all members follow from."""
    return network.member_prefix, network.rfc4193, network.sixplane


def _doubtful(work: Work, network: Network, pools: Sequence[Pool]) -> list[Assignment]:
    """Addresses that are in no pool, or that say another length than it."""
    table = ASSIGNMENT.c
    clauses = [table.kind == "auto", table.kind != "auto"]
    for pool in pools:
        base, end = (number.to_bytes(16) for number in ends_of(pool))
        clauses[0] = and_(clauses[0], not_(table.address.between(pool.first, pool.last)))
        clauses[1] = and_(clauses[1], not_(table.address.between(base, end)))
        inside = table.address.between(base, end) & (table.length != pool.range.prefixlen)
        clauses.append(inside)
    if network.member_prefix:
        clauses.append(table.family == 4)
    query = work.assignments.select.where(
        table.network == network.number, table.released_at == 0, or_(*clauses)
    ).order_by(table.address)
    found = (Assignment(*columns) for columns in work.connection.execute(query))
    rows = []
    for row in found:
        home = home_of(network, pools, row)
        if home is None or home.range.prefixlen != row.length:
            rows.append(row)
    return rows


def _members(work: Work, network: Network, lacking: set[int]) -> set[int]:
    """The nodes that have joined; only those without an address of one of these families, if any."""
    table = MEMBER.c
    query = select(table.node).where(
        table.network == network.number,
        table.removed_at == 0,
        table.state == State.AUTHORIZED,
        table.wireguard.is_not(None),
    )
    missing = [
        ~exists().where(
            ASSIGNMENT.c.node == table.node,
            ASSIGNMENT.c.network == network.number,
            ASSIGNMENT.c.family == family,
            ASSIGNMENT.c.released_at == 0,
        )
        for family in lacking
    ]
    if missing:
        query = query.where(or_(*missing))
    return set(work.connection.execute(query.limit(MEMBERS_MAX + 1)).scalars())


def _check_count(nodes: set[int]) -> None:
    if len(nodes) > MEMBERS_MAX:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot change the addresses of more than {MEMBERS_MAX} members at once",
            hint="go in steps, with a range that is a little larger or smaller each time",
        )


def _read(work: Work, nodes: Sequence[int]) -> None:
    """All that is to be changed, in few selects."""
    for start in range(0, len(nodes), _CHUNK):
        some = nodes[start : start + _CHUNK]
        work.prefetch_ids(some)
        known = (work.node_by_id(number) for number in some)
        work.prefetch([node.key for node in known if node is not None])


def _name(work: Work, row: Assignment) -> str:
    member = work.sound_member(row.network, row.node)
    return member.name if member and member.name else f"{row.node:010x}"
