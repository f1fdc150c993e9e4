"""What a node believes of one network: what came from a controller or the cache, verified. Pure.

    belief = Belief(node, wireguard, kept)       # StatementError: not to be believed
    belief.take_joined(trust, joined); belief.take_rows(rows); belief.take_trust(trust)
    verified = belief.members(now_ms)            # StatementError: we ourselves are out
    belief.kept, belief.holding                  # for the disk, and for the controller

A statement that is refused changes nothing; the one before stays. A certificate is refused, too, when a
newer one of the same node was believed (`newest`, decision 0022).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from agent.enrol.actions import Holding
from agent.enrol.sink import Trust
from agent.overlay.kept import Kept
from agent.overlay.netmap import Netmap, Outcome
from agent.overlay.newest import Newest, why_older
from agent.overlay.verify import Judge, Refusal, Verified
from protocol.messages import Joined, Row, Rows, Settings
from protocol.signed import Signed, StatementError, open_signed, read_unverified, signer_id
from protocol.statements import Keyset, Membership, check


class Belief:
    def __init__(
        self,
        node: bytes,
        wireguard: bytes,
        kept: Kept,
        *,
        highest: tuple[int, int] = (0, 0),
        also: tuple[bytes, ...] = (),
    ) -> None:
        """`highest`: the incarnation and epoch that this node has reached; `also`: the key that is to
        be this node's. Raises StatementError.
        """
        self._judge = Judge(node, *also)
        self._node, self._wireguard = node, wireguard
        self._kept = kept
        self.keyset = _open_keyset(kept.trust)
        self.state = self._judge.state(kept.state, self.keyset, kept.network, None)
        if self.reached < highest:
            was, now = (".".join(map(str, reached)) for reached in (highest, self.reached))
            raise StatementError(f"its state is older than what we held: {now} after {was}")
        self.membership = self._read_own(kept.membership)
        rows = dict(_by_node(kept.rows))
        whole = all(self._judge.is_signed(row, self.keyset) for row in rows.values())
        # what was damaged on the disk is asked for again
        self._netmap = Netmap(kept.revision if whole else 0, rows)
        self._newest = Newest()
        self._note(kept.newest)
        self._note(row.membership for row in rows.values() if kept.revision)
        self._older: dict[bytes, tuple[Row | None, Refusal]] = {}  # what stayed instead, and why
        self._restored = False  # the controller was, and our own certificate is from before
        self.refused: dict[str, str] = {}  # what was last refused, by kind of statement
        self.refused_count = 0  # statements, since our start
        self._named: frozenset[Refusal] = frozenset()

    @classmethod
    def begin(
        cls,
        node: bytes,
        wireguard: bytes,
        trust: Trust,
        joined: Joined,
        *,
        highest: tuple[int, int] = (0, 0),
        also: tuple[bytes, ...] = (),
    ) -> "Belief":
        """A network that we have just joined. Raises StatementError."""
        kept = Kept(
            network=joined.network,
            root=bytes(trust.root),
            keyset=trust.keyset,
            settings=joined.settings,
            membership=joined.membership,
            state=joined.state,
        )
        return cls(node, wireguard, kept, highest=highest, also=also)

    def know_as(self, nodes: tuple[bytes, ...]) -> None:
        """The keys of this node, two while one gives way to the other."""
        self._judge.nodes = nodes

    @property
    def network(self) -> str:
        return self._kept.network

    @property
    def settings(self) -> Settings:
        return self._kept.settings

    @property
    def has_netmap(self) -> bool:
        """Rows have come, from a controller or from the disk; until then we know of no peer."""
        return bool(self._netmap.revision or self._netmap.rows)

    @property
    def whole(self) -> bool:
        """Everything in it is signed by somebody in the keyset."""
        signers = self.keyset.verify_keys()
        rows = (row.membership for row in self._netmap.rows.values())
        return all(s.signer in signers for s in (*rows, self._kept.membership, self._kept.state))

    @property
    def kept(self) -> Kept:
        """All of it, as it is to be stored."""
        netmap = self._netmap
        return msgspec.structs.replace(
            self._kept,
            revision=netmap.revision,
            rows=tuple(netmap.rows.values()),
            newest=self._newest.beside(
                row.membership for row in netmap.rows.values() if netmap.revision
            ),
        )

    @property
    def reached(self) -> tuple[int, int]:
        """Incarnation and epoch of the newest state."""
        return self.state.incarnation, self.state.epoch

    @property
    def holding(self) -> Holding:
        """Without a serial when our certificate's signer is gone: it is asked for anew."""
        return Holding(
            serial=self.membership.serial if self._is_covered else 0,
            incarnation=self.state.incarnation,
            epoch=self.state.epoch,
            revision=self._netmap.revision,
            closed=self.state.is_closed,
        )

    @property
    def _is_covered(self) -> bool:
        """Our certificate's signer is in the keyset."""
        return self._kept.membership.signer in self.keyset.verify_keys()

    def take_trust(self, trust: Trust) -> None:
        """A newer keyset of the same root. Raises StatementError."""
        if bytes(trust.root) != self._kept.root:
            raise StatementError("it is of another farm")
        keyset = _open_keyset(trust)
        if keyset.number < self.keyset.number:
            raise StatementError("it is older than what we hold")
        self.keyset = keyset
        self._kept = msgspec.structs.replace(self._kept, keyset=trust.keyset)
        if not self._newest.forget_others(keyset.verify_keys()).isdisjoint(self._older):
            # what was refused for the sake of such a one is asked for again
            self._netmap = replace(self._netmap, revision=0)
        self._note_rows()

    def take_joined(self, trust: Trust, joined: Joined) -> None:
        """Raises StatementError for the first thing in it that is not to be believed."""
        with self._counting():
            self.take_trust(trust)
            self.take_state(joined.state)
            self._take_membership(joined.membership)
        self._kept = msgspec.structs.replace(self._kept, settings=joined.settings)

    def take_state(self, signed: Signed) -> None:
        state = self._judge.state(signed, self.keyset, self.network, self.state)
        if state.incarnation > self.state.incarnation:
            self._begin_anew()
        self.state = state
        self._kept = msgspec.structs.replace(self._kept, state=signed)

    def take_rows(self, rows: Rows) -> Outcome:
        """What is wrong with the state in it is remembered in `refused`, and the rows are taken."""
        if (state := rows.state) is not None:
            self._try("network state", lambda: self.take_state(state))
        self._netmap, outcome = self._netmap.take(rows, self._newest.why_older)
        for refusal in outcome.older:
            self._older[refusal.node] = self._netmap.rows.get(refusal.node), refusal
        if outcome.ack:
            self._note_rows()
            mine = self._own_row()
            if mine is not None and mine.membership != self._kept.membership:
                self._try("membership", lambda: self._take_membership(mine.membership))
            signed = [row.membership for row in self._netmap.rows.values()]
            self._judge.forget_all_but([*signed, self._kept.membership])
        return outcome

    def members(self, now_ms: int | None) -> Verified:
        """Whom we believe now. Raises StatementError when nobody will believe us."""
        own = self._judge.own(
            self._kept.membership, self.state, self.keyset, self._wireguard, now_ms
        )
        rows = self._netmap.rows.values()
        verified = self._judge.members(own, rows, self.state, self.keyset, now_ms)
        refusals = verified.refusals + tuple(refusal for _, refusal in self._older.values())
        named = frozenset(refusals)
        self.refused_count += len(named - self._named)
        self._named = named
        refused = tuple(Refusal(self._node, kind, why) for kind, why in self.refused.items())
        return replace(verified, refusals=refusals + refused)

    def ending(self, now_ms: int | None) -> int | None:
        """Milliseconds until our membership ends, when less than a quarter of its life is left."""
        mine = self.membership
        if now_ms is None or not mine.not_after:
            return None
        left = max(0, mine.not_after - now_ms)
        return left if 4 * left < mine.not_after - mine.issued_at else None

    @contextmanager
    def _counting(self) -> Iterator[None]:
        try:
            yield
        except StatementError:
            self.refused_count += 1
            raise

    def _begin_anew(self) -> None:
        """The controller was put back from a backup: it may have forgotten the last serials, and what we
        hold of its rows is from before.
        """
        self._newest.clear()
        self._older.clear()
        self._netmap = replace(self._netmap, revision=0, transfer=None)
        self._restored = True

    def _note(self, certificates: Iterable[Signed]) -> None:
        """From now on nothing older is believed; of ourselves we hold that elsewhere."""
        for signed in certificates:
            said = self._judge.read(signed, self.keyset, self.network)
            if said is not None and said.node not in self._judge.nodes:
                self._newest.take(signed, said)

    def _note_rows(self) -> None:
        """What is refused as older stays reported while what stayed instead does."""
        rows = self._netmap.rows
        if self._netmap.revision:  # else they may be from before a restore
            self._note(row.membership for row in rows.values())
            self._newest.forget_void(self.state)
        self._older = {
            node: (held, refusal)
            for node, (held, refusal) in self._older.items()
            if rows.get(node) is held and node in self._newest
        }

    def _own_row(self) -> Row | None:
        """The newest, while one key gives way to another."""
        rows = self._netmap.rows
        found = [rows[node] for node in self._judge.nodes if node in rows]
        return max(
            found, key=lambda r: read_unverified(r.membership, Membership).serial, default=None
        )

    def _try(self, kind: str, take: Callable[[], None]) -> None:
        try:
            with self._counting():
                take()
            self.refused.pop(kind, None)
        except StatementError as error:
            self.refused[kind] = str(error)

    def _take_membership(self, signed: Signed) -> None:
        membership = self._read_own(signed)
        older = why_older(membership, self.membership)
        if older and self._is_covered and not self._restored:
            raise StatementError(older)
        self.membership, self._restored = membership, False
        self._kept = msgspec.structs.replace(self._kept, membership=signed)

    def _read_own(self, signed: Signed) -> Membership:
        """Ours, though it may be revoked by now: `members` holds that."""
        membership = open_signed(signed, Membership, self.keyset.verify_keys())
        check(membership)
        if membership.network != self.network:
            raise StatementError(f"it is of network {membership.network}")
        if membership.node not in self._judge.nodes:
            raise StatementError("it is another node's")
        if membership.wireguard != self._wireguard:
            raise StatementError("it has another WireGuard key than this node")
        return membership


def _open_keyset(trust: Trust) -> Keyset:
    keyset = open_signed(trust.keyset, Keyset, {signer_id(trust.root): trust.root})
    check(keyset)
    return keyset


def _by_node(rows: Iterable[Row]) -> Iterable[tuple[bytes, Row]]:
    """What cannot be read keeps a place of its own, to be refused by name."""
    for number, row in enumerate(rows):
        try:
            yield read_unverified(row.membership, Membership).node, row
        except StatementError:
            yield b"unreadable %d" % number, row
