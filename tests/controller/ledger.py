"""What a controller's clients were answered, and whether its database remembers all of it.

An answer is a promise: whatever was said before a kill must be there after it. `judge` reads the
database of a dead controller and counts what is lost, given twice, or used up for nothing.
"""

import contextlib
import copy
import sqlite3
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.store import audit
from controller.store.database import open_reader

QUESTIONS = {
    "nodes": "SELECT key FROM node",
    # the serial as certificates have it: a network that has folded its floors counts from there
    "members": "SELECT key, state, removed_at, fold + serial, wireguard FROM member"
    " JOIN node ON node.id = member.node JOIN network ON network.number = member.network",
    "addresses": "SELECT key, address FROM assignment JOIN node ON node.id = assignment.node"
    " WHERE released_at = 0",
    "tokens": "SELECT key, uses - uses_left, revoked_at FROM join_token",
    "floors": "SELECT node, serial FROM revocation",
}


@dataclass
class Ledger:
    """What was answered. Keys are node keys, but in `tokens`."""

    admitted: set[bytes] = field(default_factory=set)
    addresses: dict[bytes, frozenset[str]] = field(default_factory=dict)
    serials: dict[bytes, int] = field(default_factory=dict)
    wireguard: dict[bytes, bytes] = field(default_factory=dict)  # while no other is under way
    states: dict[bytes, str] = field(default_factory=dict)  # set by an admin for good
    floors: dict[bytes, int] = field(default_factory=dict)
    tokens: set[bytes] = field(default_factory=set)
    revoked: set[bytes] = field(default_factory=set)
    renumbered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def snapshot(self) -> "Ledger":
        with self.lock:
            found = Ledger()
            for name in self.__dataclass_fields__:
                if name != "lock":
                    setattr(found, name, copy.copy(getattr(self, name)))
            return found

    @property
    def size(self) -> int:
        """How many promises there are."""
        named = (self.admitted, self.addresses, self.serials, self.states, self.floors)
        return sum(map(len, (*named, self.tokens, self.revoked)))


@dataclass
class Verdict:
    lost: tuple[str, ...] = ()  # what was promised, and of whom
    doubled: int = 0
    burnt: int = 0
    chain: str | None = None

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.burnt + other.burnt,
            self.chain or other.chain,
        )


def judge(database: Path, ledger: Ledger) -> Verdict:
    """`ledger`: a snapshot from before the kill or from right after it; nothing may change now."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = {name: connection.execute(query).fetchall() for name, query in QUESTIONS.items()}
    reader = open_reader(database)
    try:
        chain = audit.verify(reader)
    finally:
        reader.close()
        reader.engine.dispose()
    return Verdict(_lost(rows, ledger), _doubled(rows, ledger), _burnt(rows), chain)


def _lost(rows: dict[str, list[Any]], ledger: Ledger) -> tuple[str, ...]:
    nodes = {key for (key,) in rows["nodes"]}
    gone = ["gone", 0, 0, None]
    members = defaultdict(lambda: gone, {key: rest for key, *rest in rows["members"]})
    held: dict[bytes, int] = {}
    for key, _ in rows["addresses"]:
        held[key] = held.get(key, 0) + 1
    tokens = {key: revoked for key, _, revoked in rows["tokens"]}
    floors = dict(rows["floors"])
    broken = {
        "admitted": [k for k in ledger.admitted if k not in nodes or k not in members],
        "addresses": [
            key
            for key, given in ledger.addresses.items()
            if ledger.states.get(key) != "forgotten" and held.get(key, 0) != len(given)
        ],
        "serial": [k for k, serial in ledger.serials.items() if members[k][2] < serial],
        "wireguard": [
            key
            for key, wireguard in ledger.wireguard.items()
            if key not in ledger.states and members[key][3] != wireguard
        ],
        "state": [k for k, state in ledger.states.items() if _state(members[k]) != state],
        "floor": [k for k, serial in ledger.floors.items() if floors.get(k, 0) < serial],
        "token": [k for k in ledger.tokens if k not in tokens],
        "revoked": [k for k in ledger.revoked if not tokens.get(k, 1)],
    }
    return tuple(f"{what} of {key.hex()[:8]}" for what, keys in broken.items() for key in keys)


def _state(member: list[object]) -> str:
    return "forgotten" if member[1] else str(member[0])


def _doubled(rows: dict[str, list[Any]], ledger: Ledger) -> int:
    stored = [address for _, address in rows["addresses"]]
    living = [
        address
        for key, given in ledger.addresses.items()
        if ledger.states.get(key) != "forgotten"
        for address in given
    ]
    return len(stored) - len(set(stored)) + len(living) - len(set(living))


def _burnt(rows: dict[str, list[Any]]) -> int:
    """Every use of a token let one node in."""
    used = sum(int(uses) for _, uses, _ in rows["tokens"])
    return abs(used - len(rows["nodes"]))
