"""What verbs work with: the registry, the desk's transactions, and how people name things."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from controller.front.desk import Desk
from controller.front.sessions import Sessions
from controller.members.publish import finish
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.store.audit import Entry
from controller.store.model import MEMBER
from controller.store.records import Member, Network, Node
from controller.store.work import Work
from controller.trust.keeper import Keeper
from controller.trust.root import Root
from controller.verbs.tally import Tally
from protocol.ids import is_node_address
from protocol.messages import Code

T = TypeVar("T")
GUESS_FROM = 2000  # names


@dataclass(frozen=True, slots=True)
class Found:
    """A member that somebody named."""

    network: Network
    node: Node
    member: Member


class Rehearsed(Exception):  # noqa: N818  # no error: the way out of a verb that must go no further
    """What a change would have noted in the audit log."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        super().__init__()
        self.entries = tuple(entries)


class NotYetError(Exception):
    """There is nothing to tell yet: ask again when something happened, at most `wait` seconds on."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


class Office:
    """`refused` counts connections that ZAP turned away; `actor` is whose request it is, as the
    audit log names it; with `dry_run` this request may change nothing.
    """

    def __init__(self, desk: Desk, refused: Callable[[], int]) -> None:
        self.desk = desk
        self.refused = refused
        self.now_ms, self.now = 0, 0.0
        self.actor = "controller"
        self.dry_run = False
        self.staged: object = None  # parts of an import that wait for the last one
        self.tally = Tally()
        self.patient = False  # whether whoever asks can be told later
        self.keeper = Keeper(desk)
        self.root = Root(desk.registry, self.keeper)

    @property
    def registry(self) -> Registry:
        return self.desk.registry

    @property
    def connection(self) -> Connection:
        return self.desk.registry.connection

    @property
    def sessions(self) -> Sessions:
        return self.desk.sessions

    def change(self, do: Callable[[Work], T]) -> T:
        """One transaction. A verb makes one such change, and what follows from it only afterwards:
        in a dry run this does not return, since nothing was changed. Raises ClashError, Rehearsed.
        """
        return self.desk.transact(
            self._rehearsal(do) if self.dry_run else do, self.now_ms, self.now
        )

    def _rehearsal(self, do: Callable[[Work], T]) -> Callable[[Work], T]:
        """Up to the commit: whatever would fail, fails here too."""

        def rehearse(work: Work) -> T:
            do(work)
            finish(self.registry, work)
            work.flush(self.registry.audit_head)
            raise Rehearsed(work.audit)

        return rehearse

    def network(self, name: str) -> Network:
        """By name or id. Raises DamagedError, and RefusedError with the nearest name."""
        networks = self.registry.networks.values()
        for network in networks:
            if name in (network.name, network.id(self.registry.controller)):
                return network
        for network in self.registry.seals.networks.values():
            if name in (network.name, network.id(self.registry.controller)):
                self.registry.seals.check_network(network.number)
        raise not_found("network", name, [network.name for network in networks], "network list")

    def member(self, work: Work, network: Network, name: str) -> Found:
        """By node address or by name, if only one has it. Raises RefusedError."""
        if is_node_address(name):
            node = work.node_by_id(int(name, 16))
            member = work.member(network.number, node.id) if node else None
            if node is not None and member is not None and member.live:
                return Found(network, node, member)
        numbers = self._named(work, network, name)
        if len(numbers) > 1:
            which = ", ".join(f"{number:010x}" for number in numbers[:8])
            raise RefusedError(
                Code.CONFLICT,
                f"cannot tell which member {name} is meant: several have that name",
                hint=f"use an address: {which}",
            )
        node = work.node_by_id(numbers[0]) if numbers else None
        member = work.member(network.number, node.id) if node else None
        if node is None or member is None:
            near = self._some_names(work, network)
            raise not_found(
                "member", name, near, f"member list {network.name}", f" in network {network.name}"
            )
        return Found(network, node, member)

    def wake(self, found: Found, state: str) -> None:
        """Tell the node, if it is connected, how it stands."""
        self.desk.push.wake(found.node.key, found.network.number, state)

    def tell_settings(self, number: int) -> None:
        """The network's settings are others: every connected member gets them."""
        for session in self.sessions.watchers(number):
            self.desk.push.certificate(session.key, number, self.now_ms)

    def _named(self, work: Work, network: Network, name: str) -> list[int]:
        """The first of those that have this name."""
        query = _live(network, MEMBER.c.node).where(MEMBER.c.name == name).limit(9)
        return list(work.connection.execute(query).scalars())

    def _some_names(self, work: Work, network: Network) -> list[str]:
        """To guess from: not all of a million."""
        query = _live(network, MEMBER.c.name).where(MEMBER.c.name != "").limit(GUESS_FROM)
        return list(work.connection.execute(query).scalars())


def _live(network: Network, column: Any) -> Any:
    return select(column).where(MEMBER.c.network == network.number, MEMBER.c.removed_at == 0)


def not_found(
    what: str, name: str, known: Iterable[str], listing: str, where: str = ""
) -> RefusedError:
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"see: ncadm {listing}"
    return RefusedError(Code.NOT_FOUND, f"cannot find {what} {name!r}{where}", hint=hint)


def iso(milliseconds: int) -> str:
    """A time for people, UTC; empty for never."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()[:19] + "Z"


Items = list[dict[str, Any]]
