"""What a node believes of one network: what came from a controller or the cache, verified. Pure.

    belief = Belief(node, wireguard, kept)       # StatementError: not to be believed
    belief.take_joined(trust, joined); belief.take_rows(rows); belief.take_trust(trust)
    verified = belief.members(now_ms)            # StatementError: we ourselves are out
    belief.kept, belief.holding                  # for the disk, and for the controller

A statement that is refused changes nothing; the one before stays.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec

from agent.enrol.actions import Holding
from agent.enrol.sink import Trust
from agent.overlay.kept import Kept
from agent.overlay.netmap import Netmap, Outcome
from agent.overlay.verify import Judge, Refusal, Verified
from protocol.messages import Joined, Row, Rows, Settings
from protocol.signed import Signed, StatementError, open_signed, read_unverified, signer_id
from protocol.statements import Keyset, Membership, check


class Belief:
    def __init__(self, node: bytes, wireguard: bytes, kept: Kept) -> None:
        """Raises StatementError."""
        self._judge = Judge(node)
        self._node, self._wireguard = node, wireguard
        self._kept = kept
        self.keyset = _open_keyset(kept.trust)
        self.state = self._judge.state(kept.state, self.keyset, kept.network, None)
        self.membership = self._read_own(kept.membership)
        rows = dict(_by_node(kept.rows))
        whole = all(self._judge.is_signed(row, self.keyset) for row in rows.values())
        # what was damaged on the disk is asked for again
        self._netmap = Netmap(kept.revision if whole else 0, rows)
        self.refused: dict[str, str] = {}  # what was last refused, by kind of statement

    @classmethod
    def begin(cls, node: bytes, wireguard: bytes, trust: Trust, joined: Joined) -> "Belief":
        """A network that we have just joined. Raises StatementError."""
        kept = Kept(
            network=joined.network,
            root=bytes(trust.root),
            keyset=trust.keyset,
            settings=joined.settings,
            membership=joined.membership,
            state=joined.state,
        )
        return cls(node, wireguard, kept)

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
    def kept(self) -> Kept:
        """All of it, as it is to be stored."""
        netmap = self._netmap
        return msgspec.structs.replace(
            self._kept, revision=netmap.revision, rows=tuple(netmap.rows.values())
        )

    @property
    def holding(self) -> Holding:
        return Holding(
            serial=self.membership.serial,
            incarnation=self.state.incarnation,
            epoch=self.state.epoch,
            revision=self._netmap.revision,
        )

    def take_trust(self, trust: Trust) -> None:
        """A newer keyset of the same root. Raises StatementError."""
        if bytes(trust.root) != self._kept.root:
            raise StatementError("it is of another farm")
        keyset = _open_keyset(trust)
        if keyset.number < self.keyset.number:
            raise StatementError("it is older than what we hold")
        self.keyset = keyset
        self._kept = msgspec.structs.replace(self._kept, keyset=trust.keyset)

    def take_joined(self, trust: Trust, joined: Joined) -> None:
        """Raises StatementError for the first thing in it that is not to be believed."""
        before = self.state.incarnation
        self.take_trust(trust)
        self.take_state(joined.state)
        # a controller that was restored from a backup may have forgotten the last serials
        self._take_membership(joined.membership, older=self.state.incarnation > before)
        self._kept = msgspec.structs.replace(self._kept, settings=joined.settings)

    def take_state(self, signed: Signed) -> None:
        state = self._judge.state(signed, self.keyset, self.network, self.state)
        self.state = state
        self._kept = msgspec.structs.replace(self._kept, state=signed)

    def take_rows(self, rows: Rows) -> Outcome:
        """What is wrong with the state in it is remembered in `refused`, and the rows are taken."""
        if (state := rows.state) is not None:
            self._try("network state", lambda: self.take_state(state))
        self._netmap, outcome = self._netmap.take(rows)
        if outcome.ack:
            mine = self._netmap.rows.get(self._node)
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
        refused = tuple(Refusal(self._node, kind, why) for kind, why in self.refused.items())
        return replace(verified, refusals=verified.refusals + refused)

    def _try(self, kind: str, take: Callable[[], None]) -> None:
        try:
            take()
            self.refused.pop(kind, None)
        except StatementError as error:
            self.refused[kind] = str(error)

    def _take_membership(self, signed: Signed, *, older: bool = False) -> None:
        membership = self._read_own(signed)
        if membership.serial < self.membership.serial and not older:
            raise StatementError(
                f"it is older than what we hold: serial {membership.serial}"
                f" after {self.membership.serial}"
            )
        self.membership = membership
        self._kept = msgspec.structs.replace(self._kept, membership=signed)

    def _read_own(self, signed: Signed) -> Membership:
        """Ours, though it may be revoked by now: `members` holds that."""
        membership = open_signed(signed, Membership, self.keyset.verify_keys())
        check(membership)
        if membership.network != self.network:
            raise StatementError(f"it is of network {membership.network}")
        if membership.node != self._node:
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
