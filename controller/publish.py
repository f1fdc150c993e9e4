"""From changed members to revisions: sign rows, choose relays, make the state anew when it changed.

updates = finish(registry, work)     # before the flush: revisions and epochs go into the rows
... flush, commit ...
registry.absorb(work, updates, head)
"""

import msgspec

from controller.netmap import Entry, Netmap, Update
from controller.records import Floor, Member
from controller.registry import Registry
from controller.relays import Reach, choose_relays, choose_transit
from controller.work import Work


def finish(registry: Registry, work: Work) -> list[Update]:
    return [_finish_network(registry, work, number) for number in sorted(work.touched)]


def withdraw(work: Work, member: Member, key: bytes) -> Member:
    """The member without its place: certificates it has are void from now on (a floor)."""
    if member.wireguard is None:
        return member
    serial = member.serial + 1
    work.floor(member.network, key)
    # The epoch is known at the end of the batch.
    work.floors.put(Floor(member.network, key, serial, epoch=0, not_after=member.not_after))
    work.touch(member.network, member.node)
    return msgspec.structs.replace(member, wireguard=None, endpoints="", serial=serial)


def _finish_network(registry: Registry, work: Work, number: int) -> Update:
    netmap = registry.netmap(number)
    network = work.network(number)
    if network is None:
        raise LookupError(f"network {number} is gone")
    revision = network.revision
    entries: list[Entry] = []
    gone: list[tuple[bytes, int]] = []
    for node_id in work.touched[number]:
        node, member = work.node_by_id(node_id), work.member(number, node_id)
        if node is None or member is None:
            raise LookupError(f"member {node_id:010x} is gone")
        revision += 1
        member = msgspec.structs.replace(member, revision=revision)
        work.members.put(member)
        if member.visible:
            held = work.addresses(number, node_id)
            entries.append(registry.make_entry(number, node.key, node.address, member, held))
        else:
            gone.append((node.key, revision))
    relays = _relays(netmap, entries, [key for key, _ in gone])
    fresh = [f for f in work.floors.rows.values() if f is not None and f.network == number]
    floors = netmap.floors | {floor.node: floor.serial for floor in fresh}
    state = None
    if number in work.restated or relays != netmap.relays or floors != netmap.floors:
        revision += 1
        network = msgspec.structs.replace(
            network, epoch=network.epoch + 1, state_at=work.now_ms, state_revision=revision
        )
        for floor in fresh:
            work.floors.put(msgspec.structs.replace(floor, epoch=network.epoch))
        state = registry.sign_state(network, relays, floors)
    network = msgspec.structs.replace(network, revision=revision)
    work.put_network(network)
    return Update(network, tuple(entries), tuple(gone), relays, floors, state)


def _relays(netmap: Netmap, entries: list[Entry], gone: list[bytes]) -> dict[bytes, bytes]:
    """The relays after the change: all anew when a transit member changed, else only the changed."""
    changed = {entry.key: entry.reach for entry in entries}
    before: dict[bytes, Reach | None] = {
        key: netmap.entries[key].reach if key in netmap.entries else None
        for key in [*changed, *gone]
    }
    if any(
        reach != changed.get(key)
        for key, reach in before.items()
        if (reach is not None and reach.transit) or (key in changed and changed[key].transit)
    ):
        members = {key: entry.reach for key, entry in netmap.entries.items() if key not in gone}
        return choose_relays(members | changed)
    relays = {key: value for key, value in netmap.relays.items() if key not in before}
    transits = list(netmap.transits.items())
    for key, reach in changed.items():
        transit = choose_transit(reach, transits)
        if transit is not None:
            relays[key] = transit
    return relays
