"""What verbs work with: the registry, the desk's transactions, and how people name things."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from controller.desk import Desk
from controller.model import MEMBER
from controller.records import Member, Network, Node, State
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.sessions import Sessions
from controller.work import Work
from protocol.ids import is_node_address
from protocol.messages import Code

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A member that somebody named."""

    network: Network
    node: Node
    member: Member


class Office:
    """`refused` counts connections that ZAP turned away."""

    def __init__(self, desk: Desk, refused: Callable[[], int]) -> None:
        self.desk = desk
        self.refused = refused
        self.now_ms, self.now = 0, 0.0

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
        return self.desk.transact(do, self.now_ms, self.now)

    def network(self, name: str) -> Network:
        """By name or id. Raises RefusedError with the nearest name."""
        networks = self.registry.networks.values()
        for network in networks:
            if name in (network.name, network.id(self.registry.controller)):
                return network
        raise not_found("network", name, [network.name for network in networks], "network list")

    def member(self, work: Work, network: Network, name: str) -> Found:
        """By node address or by name, if only one has it. Raises RefusedError."""
        if is_node_address(name):
            node = work.node_by_id(int(name, 16))
            member = work.member(network.number, node.id) if node else None
            if node is not None and member is not None and member.live:
                return Found(network, node, member)
        names = self._names(work, network)
        numbers = [number for number, known in names if known == name]
        if len(numbers) > 1:
            which = ", ".join(f"{number:010x}" for number in numbers[:8])
            raise RefusedError(
                Code.CONFLICT,
                f"cannot tell which member {name} is meant: {len(numbers)} have that name",
                hint=f"use an address: {which}",
            )
        node = work.node_by_id(numbers[0]) if numbers else None
        member = work.member(network.number, node.id) if node else None
        if node is None or member is None:
            near = [known for _, known in names]
            raise not_found(
                "member", name, near, f"member list {network.name}", f" in network {network.name}"
            )
        return Found(network, node, member)

    def wake(self, found: Found, state: State) -> None:
        """Tell the node, if it is connected, how it stands."""
        self.desk.push.wake(found.node.key, found.network.number, state)

    def _names(self, work: Work, network: Network) -> list[tuple[int, str]]:
        query = work.members.select.where(
            MEMBER.c.network == network.number, MEMBER.c.removed_at == 0
        ).with_only_columns(MEMBER.c.node, MEMBER.c.name)
        return [(row.node, row.name) for row in work.connection.execute(query)]


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
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Items = list[dict[str, Any]]
