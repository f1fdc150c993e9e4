"""From changed members to revisions: sign rows, name transits, make the state anew when it changed.

updates = finish(registry, work)     # before the flush: revisions and epochs go into the rows
... flush, commit ...
registry.absorb(work, updates, head)

A network's state lists floors until there are FOLD_ABOVE. Then it folds them: `fold` rises above every
serial that there ever was, and all members get certificates anew, with serials above it. When they have
had time to, the state's `least` says that everything below is void, and the list begins anew.
"""

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import select

from controller.netmap.netmap import Netmap, Update
from controller.netmap.relays import Reach, choose_transit, reach
from controller.registry import Registry
from controller.store.model import MEMBER
from controller.store.records import Floor, Member, Network
from controller.store.work import Work
from protocol.statements import FLOORS_MAX

FOLD_ABOVE = 400  # floors
FOLD_TIME_MS = 10 * 60 * 1000  # until the certificates from before a fold are void
_SPARE = 300  # more floors than one batch makes
_AT_ONCE = 500


def finish(registry: Registry, work: Work) -> list[Update]:
    return [_finish_network(registry, work, number) for number in sorted(work.touched)]


def withdraw(work: Work, member: Member, key: bytes) -> Member:
    """The member without its place: certificates it has are void from now on (a floor)."""
    if member.wireguard is None:
        return member
    serial = member.serial + 1
    _put_floor(work, member, key, serial, hub="hub" in member.role_list)
    work.touch(member.network, member.node)
    return msgspec.structs.replace(member, wireguard=None, endpoints="", via=b"", serial=serial)


def certify_for_key(work: Work, member: Member, old: bytes) -> None:
    """The member's node has another key: what says `old` is void, and it gets a certificate anew."""
    if member.serial:
        _put_floor(work, member, old, member.serial + 1, hub="hub" in member.role_list)
    current = work.member(member.network, member.node) or member
    if current.visible:
        _certify_anew(work, current, current.via)


def reissue_hubs(registry: Registry, work: Work, number: int) -> None:
    """The network's ranges are others: the certificates that name them, too."""
    for entry in registry.roster.carriers(number):
        member = work.sound_member(number, entry.member.node)
        if member is not None and member.visible and "hub" in member.role_list:
            _put_floor(work, member, entry.key, member.serial + 1, hub=True)
            _certify_anew(work, member, member.via)


def _finish_network(registry: Registry, work: Work, number: int) -> Update:
    netmap = registry.netmap(number)
    if _network(work, number).topology != netmap.network.topology:
        _change_topology(registry, work, number)
    elif not netmap.is_hub:
        _follow_transits(registry, work, netmap)
    network = _network(work, number)
    renamed = [work.renamed[node] for node in work.touched[number] if node in work.renamed]
    gone = [(key, revision) for revision, key in enumerate(renamed, network.revision + 1)]
    first = network.revision + len(gone) + 1
    touched = []
    for revision, node_id in enumerate(work.touched[number], first):
        touched.append(_place(work, netmap, node_id, revision))
    network = msgspec.structs.replace(network, revision=first - 1 + len(touched))
    floors = [f for f in work.floors.rows.values() if f is not None and f.network == number]
    if floors or number in work.restated:
        network = _restate(work, netmap, network, floors)
    work.put_network(network)
    entries = tuple(
        registry.make_entry(network, key, member, work.addresses(number, member.node))
        for key, member in touched
        if member.visible
    )
    gone += [(key, member.revision) for key, member in touched if not member.visible]
    return Update(network, entries, tuple(gone), tuple(floors))


def _place(work: Work, netmap: Netmap, node_id: int, revision: int) -> tuple[bytes, Member]:
    """The changed member with its revision, and its key."""
    key, member = _touched(work, netmap.network.number, node_id)
    was = netmap.hubs.get(work.renamed.get(node_id, key))
    since = member.view_since
    if netmap.is_hub and "hub" in member.role_list and was is None:
        since = revision
    elif was is not None and member.visible and "hub" not in member.role_list:
        _put_floor(work, was.member, key, member.serial, hub=True)
    member = msgspec.structs.replace(member, revision=revision, view_since=since)
    work.members.put(member)
    return key, member


def _restate(work: Work, netmap: Netmap, network: Network, floors: list[Floor]) -> Network:
    """A new epoch; `floors` are those of this batch, and get it."""
    number = network.number
    network = msgspec.structs.replace(
        network,
        epoch=network.epoch + 1,
        state_at=work.now_ms,
        state_revision=network.revision + 1,
        revision=network.revision + 1,
    )
    for place, floor in enumerate(floors):
        floors[place] = msgspec.structs.replace(floor, epoch=network.epoch)
        work.floors.put(floors[place])
    folded = _fold(work, netmap, network, floors)
    if number in work.restated or any(f.hub for f in floors) or folded.least != network.least:
        folded = msgspec.structs.replace(folded, spoke_epoch=network.epoch)
    return folded


def _fold(work: Work, netmap: Netmap, network: Network, floors: Iterable[Floor]) -> Network:
    """The network with its fold begun or ended, when it is time to."""
    listed = {f.node: f for f in (*netmap.floors.values(), *floors)}
    count = sum(1 for f in listed.values() if f.lives(network.state_at))
    folding = network.fold > 0 and network.least <= network.fold
    if not folding and count > FOLD_ABOVE:
        highest = _highest_serial(work, network)
        network = msgspec.structs.replace(
            network,
            fold=max([highest, *(f.serial for f in listed.values())]),
            fold_at=work.now_ms,
            purged=network.revision,
        )
        folding = True
    due = work.now_ms >= network.fold_at + FOLD_TIME_MS or count > FLOORS_MAX - _SPARE
    if folding and due:
        network = msgspec.structs.replace(network, least=network.fold + 1)
    return network


def _highest_serial(work: Work, network: Network) -> int:
    """Of all certificates that there ever were; those of forgotten members are below their floors."""
    stored = _highest_stored(work, network.number)
    changed = (m.serial for m in work.members.rows.values() if m and m.network == network.number)
    return int(network.fold + max([stored, *changed]))


def _highest_stored(work: Work, number: int) -> int:
    """A damaged member's may be anything."""
    table = MEMBER.c
    query = select(table.node, table.serial).where(table.network == number)
    rows = work.connection.execute(query.order_by(table.serial.desc()))
    for node, serial in rows:
        if work.sound_member(number, node) is not None:
            rows.close()
            return int(serial)
    return 0


def _change_topology(registry: Registry, work: Work, number: int) -> None:
    """Everybody gets its view anew; hubs get or lose the network's ranges, the others a transit."""
    network = _network(work, number)
    work.put_network(msgspec.structs.replace(network, purged=network.revision + 1))
    work.restate(number)
    transits = {}
    if network.topology == "mesh":
        carriers = registry.roster.carriers(number)
        transits = {e.key: reach(e.member) for e in carriers if "transit" in e.member.role_list}
    _name_transits(registry, work, number, transits)
    reissue_hubs(registry, work, number)


def _follow_transits(registry: Registry, work: Work, netmap: Netmap) -> None:
    """When a transit member came, changed or went."""
    number = netmap.network.number
    after = dict(netmap.transits)
    for node_id in work.touched[number]:
        key, member = _touched(work, number, node_id)
        after.pop(work.renamed.get(node_id, key), None)
        if member.visible and "transit" in member.role_list:
            after[key] = reach(member)
    if after != netmap.transits:
        _name_transits(registry, work, number, after)


def _name_transits(
    registry: Registry, work: Work, number: int, transits: Mapping[bytes, Reach]
) -> None:
    """Those who are to have another transit get certificates that say so."""

    def via(member: Member) -> bytes:
        return choose_transit(reach(member), transits.items()) or b""

    committed = registry.roster.members(number)
    keys = [key for key, member in committed if member.via != via(member)]
    for start in range(0, len(keys), _AT_ONCE):
        work.prefetch(keys[start : start + _AT_ONCE])
    nodes = {node.id for key in keys if (node := work.node(key)) is not None}
    for node_id in nodes | work.touched.get(number, {}).keys():
        member = work.sound_member(number, node_id)
        if member is not None and member.visible and member.via != via(member):
            _certify_anew(work, member, via(member))


def _certify_anew(work: Work, member: Member, via: bytes) -> None:
    network = _network(work, member.network)
    work.members.put(
        msgspec.structs.replace(
            member,
            via=via,
            serial=member.serial + 1,
            issued_at=work.now_ms,
            not_after=work.now_ms + network.life if network.life else 0,
        )
    )
    work.touch(member.network, member.node)


def _put_floor(work: Work, member: Member, key: bytes, serial: int, *, hub: bool) -> None:
    """Certificates of the member below `serial` (as its row counts) are void. `member` is as the
    last of those certificates says.
    """
    above = _network(work, member.network).fold + serial
    work.floor(member.network, key)  # so that it is known whether there is one
    # The epoch is known at the end of the batch.
    work.floors.put(Floor(member.network, key, above, 0, member.not_after, hub))


def _network(work: Work, number: int) -> Network:
    network = work.network(number)
    if network is None:
        raise LookupError(f"network {number} is gone")
    return network


def _touched(work: Work, number: int, node_id: int) -> tuple[bytes, Member]:
    """A changed member and its key."""
    node, member = work.node_by_id(node_id), work.member(number, node_id)
    if node is None or member is None:
        raise LookupError(f"member {node_id:010x} is gone")
    return node.key, member
