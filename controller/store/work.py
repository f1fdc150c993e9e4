"""One batch's reads and writes: what it saw of the database, and what it will change.

    work = Work(connection, networks, now_ms)
    work.prefetch(node_keys, token_keys)      # three selects for the whole batch
    ... handlers read and put values ...
    work.flush()                              # a few executemany; the caller commits

Nothing is written before `flush`. Two rows that clash end in ClashError: the caller rolls back and
takes the messages one by one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from controller.store import audit, model
from controller.store.kept import Kept
from controller.store.layouts import FLOORS, NETWORKS, POOLS, TOKENS
from controller.store.ranges import read_ranges
from controller.store.records import Assignment, Floor, Member, Network, Node, Token
from controller.store.seals import Seals
from controller.store.shelf import ClashError, Shelf
from controller.store.sums import keys_of

QUARANTINE_MS = 24 * 3600 * 1000  # how long a released address rests
PLACE = attrgetter("family", "address")  # the order of a member's addresses


@dataclass(frozen=True, slots=True)
class Dismissal:
    """`why` completes "cannot talk to this node: "."""

    code: str
    why: str
    hint: str = ""


class Work:
    """`networks` are the committed values; changes of this batch lie over them. `seals` says which
    rows are damaged. `kept`: rows of nodes that earlier batches read.
    """

    def __init__(
        self,
        connection: Connection,
        networks: Mapping[int, Network],
        now_ms: int,
        seals: Seals,
        kept: Kept | None = None,
    ) -> None:
        kept = kept or Kept()
        self.connection = connection
        self.now_ms = now_ms
        self.seals = seals
        self._networks = networks
        self.changed_networks: dict[int, Network] = {}
        self.pools = Shelf(POOLS)
        self.nodes, self.members, self.assignments = kept.nodes, kept.members, kept.assignments
        self.tokens = Shelf(TOKENS)
        self.floors = Shelf(FLOORS)
        self.touched: dict[int, dict[int, None]] = {}
        self.restated: set[int] = set()
        self.audit: list[audit.Entry] = []
        self._ids, self._complete = kept.ids, kept.complete
        self.written = 0  # rows
        self.waiting: dict[int, int] | None = None  # pending members a network, once counted
        self.renamed: dict[int, bytes] = {}  # nodes that got another key: the one they had
        self.dismissed: dict[bytes, Dismissal | None] = {}  # by key: whose session ends

    # what there is

    def network(self, number: int) -> Network | None:
        return self.changed_networks.get(number) or self._networks.get(number)

    def prefetch(self, keys: Collection[bytes], tokens: Collection[bytes] = ()) -> None:
        """Read all that a batch of these nodes and tokens will look at."""
        missing = [key for key in tokens if key not in self.tokens.rows]
        if missing:
            self.tokens.rows.update(dict.fromkeys(missing))
            for token in self.tokens.look_up(self.connection, "key", missing):
                self.seals.see_token(token)
        unknown = [key for key in keys if key not in self._ids]
        if unknown:
            self._ids.update(dict.fromkeys(unknown))
            for node in self.nodes.look_up(self.connection, "key", unknown):
                self._ids[node.key] = node.id
        self._read_members({i for i in map(self._ids.get, keys) if i is not None})

    def node(self, key: bytes) -> Node | None:
        if key not in self._ids:
            self.prefetch([key])
        number = self._ids[key]
        return None if number is None else self.nodes.rows[number]

    def node_by_id(self, number: int) -> Node | None:
        if number not in self.nodes.rows:
            self.prefetch_ids([number])
        return self.nodes.rows[number]

    def prefetch_ids(self, numbers: Collection[int]) -> None:
        """Read which of these node addresses are taken."""
        missing = [number for number in numbers if number not in self.nodes.rows]
        if missing:
            self.nodes.rows.update(dict.fromkeys(missing))
            for node in self.nodes.look_up(self.connection, "id", missing):
                self._ids[node.key] = node.id

    def member(self, network: int, node: int) -> Member | None:
        """A tombstone too: look at `live`. Raises DamagedError."""
        if node not in self._complete:
            self._read_members({node})
        self.seals.check_member(network, node)
        return self.members.rows.get((network, node))

    def sound_member(self, network: int, node: int) -> Member | None:
        """The same for one among many: a damaged one is left out."""
        if node not in self._complete:
            self._read_members({node})
        return None if self.seals.is_damaged(network, node) else self.member(network, node)

    def members_of(self, node: int) -> list[Member]:
        """Its places, without those that are damaged."""
        if node not in self._complete:
            self._read_members({node})
        rows = self.members.of(node)
        return [row for row in rows if row.live and not self.seals.is_damaged(row.network, node)]

    def is_whole(self, node: int) -> bool:
        """Whether none of its places is damaged."""
        return not any(self.seals.is_damaged(row.network, node) for row in self.members.of(node))

    def check_node(self, node: int) -> None:
        """Raises DamagedError when any of its places is damaged."""
        if node not in self._complete:
            self._read_members({node})
        for row in self.members.of(node):
            self.seals.check_member(row.network, node)
            self.seals.check_network(row.network)

    def addresses(self, network: int, node: int) -> list[Assignment]:
        """A node's assignments in a network, resting ones too, in order."""
        if node not in self._complete:
            self._read_members({node})
        found = self.assignments.of((network, node))
        return sorted(found, key=PLACE) if len(found) > 1 else found

    def token(self, key: bytes) -> Token | None:
        """Raises DamagedError."""
        if key not in self.tokens.rows:
            self.prefetch((), [key])
        self.seals.check_token(key)
        return self.tokens.rows[key]

    def floor(self, network: int, key: bytes) -> Floor | None:
        place = (network, key)
        if place not in self.floors.rows:
            table = model.FLOOR
            query = self.floors.select.where(table.c.network == network, table.c.node == key)
            self.floors.rows[place] = None
            self.floors.see(self.connection.execute(query))
        return self.floors.rows[place]

    def holder(self, network: int, address: bytes) -> Assignment | None:
        place = (network, address)
        if self.assignments.rows.get(place) is None:
            table = model.ASSIGNMENT
            query = self.assignments.select.where(
                table.c.network == network, table.c.address == address
            )
            self.assignments.see(self.connection.execute(query))
        return self.assignments.rows.get(place)

    # what changes

    def put_network(self, network: Network) -> None:
        self.changed_networks[network.number] = network

    def reseal(self, network: int) -> None:
        """Its pools or prefix pools were changed by a statement of their own."""
        found = self.network(network)
        if found is not None:
            self.put_network(found)

    def put_node(self, node: Node) -> None:
        self.nodes.put(node)
        if self._ids.get(node.key) is None:
            self._complete.add(node.id)  # a new one: there is nothing to read
        self._ids[node.key] = node.id

    def rename(self, node: Node, key: bytes) -> None:
        """The node has this key from now on, and no next one."""
        self._read_members({node.id})
        self.nodes.put(msgspec.structs.replace(node, key=key, next_key=None))
        self._ids[node.key], self._ids[key] = None, node.id
        self.renamed[node.id] = node.key

    def touch(self, network: int, node: int) -> None:
        """The netmap must show this member anew (or no more)."""
        self.touched.setdefault(network, {})[node] = None

    def restate(self, network: int) -> None:
        """The network's state must be signed anew."""
        self.restated.add(network)
        self.touched.setdefault(network, {})

    def dismiss(self, key: bytes, code: str = "", why: str = "", hint: str = "") -> None:
        """The session of this key ends after the commit; it is told `why`, if there is a code."""
        self.dismissed[key] = Dismissal(code, why, hint) if code else None

    def note(self, actor: str, action: str, thing: str, detail: str = "") -> None:
        self.audit.append(audit.Entry(actor, action, thing, detail))

    def flush(self, head: audit.Head) -> audit.Head:
        """Write everything; returns the audit chain's new end. Raises ClashError."""
        try:
            self._seal()
            self.written = self._flush_networks() + len(self.audit)
            for shelf in (self.pools, self.nodes, self.members, self.tokens):
                self.written += shelf.flush(self.connection)
            rested_before = self.now_ms - QUARANTINE_MS
            self.written += self.assignments.flush(self.connection, rested_before)
            self.written += self.floors.flush(self.connection)
            return audit.append(self.connection, head, self.audit, self.now_ms)
        except IntegrityError as error:
            raise ClashError(str(error.orig)) from error

    def _seal(self) -> None:
        """The sums of all rows that this batch leaves otherwise than they were."""
        member_sum = self.seals.sums.member
        for place, marked in self._members_to_seal().items():
            member, node = self.members.rows.get(place), self.nodes.rows.get(place[1])
            if member is not None and node is not None:
                fits = member_sum(member, keys_of(node), self.assignments.of(place))
                sealed = msgspec.structs.replace(member, sum=fits)
                if marked:
                    self.members.seal(place, sealed)
                else:
                    self.members.put(sealed)
        for _, token in self.tokens.changes():
            fits = self.seals.sums.token(token)
            self.tokens.put(msgspec.structs.replace(token, sum=fits))
        self._seal_networks()

    def _members_to_seal(self) -> dict[tuple[int, int], bool]:
        """And whether their rows are changed already. Raises DamagedError: what is sealed anew must have
        been sound.
        """
        places = dict.fromkeys(self.members.marked(), True)
        for before, row in self.assignments.changes():
            places.setdefault((row.network, row.node), False)
            if before is not None:
                places.setdefault((before.network, before.node), False)
        self._read_members({node for _, node in places})
        self.seals.check_members(places)
        for was, now in self.nodes.changes():
            if was is not None and keys_of(was) != keys_of(now):
                for member in self.members.of(now.id):
                    if not self.seals.is_damaged(member.network, member.node):
                        places.setdefault((member.network, member.node), False)
        return places

    def _seal_networks(self) -> None:
        sums = self.seals.sums
        for before, floor in self.floors.changes():
            network = self.network(floor.network)
            if network is not None:
                gone = () if before is None else (before,)
                floors = sums.floors(network.floors, *gone, floor)
                self.put_network(msgspec.structs.replace(network, floors=floors))
        numbers = list(self.changed_networks)
        ranges = read_ranges(self.connection, numbers)
        for _, pool in self.pools.changes():
            ranges[pool.network].pools.append(pool)
        for number, network in self.changed_networks.items():
            fits = sums.network(network, ranges[number].pools, ranges[number].leased)
            self.changed_networks[number] = msgspec.structs.replace(network, sum=fits)

    def _flush_networks(self) -> int:
        changed = self.changed_networks.values()
        committed = [(self._networks.get(row.number), row) for row in changed]
        known = [(old, row) for old, row in committed if old is not None]
        written = NETWORKS.write(self.connection, known)
        new = [NETWORKS.inserted(row) for old, row in committed if old is None]
        return written + (NETWORKS.insert.run(self.connection, new) if new else 0)

    def _read_members(self, nodes: set[int]) -> None:
        missing = list(nodes - self._complete)
        if missing:
            self._complete.update(missing)
            self.prefetch_ids(missing)
            members = self.members.look_up(self.connection, "node", missing)
            self.assignments.look_up(self.connection, "node", missing)
            for member in members:
                node = self.nodes.rows[member.node]
                if node is not None:
                    held = self.assignments.of((member.network, member.node))
                    self.seals.see_member(member, keys_of(node), held)
