"""The audit log's chain: each entry holds the hash of the one before. Pure.

    head = Head(controller)                  # or where the chain was cut, by a checkpoint
    for link in links: head = follow(head, link)      # raises ChainError

What was altered, taken out or put in between does not fit to what is behind it. Old entries may go: the
entry that says so, a checkpoint, has the number and hash of the last one that went.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

GENESIS = bytes(32)
CHECKPOINT = "audit.prune"
_encode = msgspec.msgpack.Encoder().encode


class ChainError(Exception):
    """The chain is broken; the text says where."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One deed; `detail` is text for people."""

    actor: str
    action: str
    object: str
    detail: str = ""


class Head(msgspec.Struct, frozen=True):
    """The end of one controller's chain, or where it was cut."""

    controller: str
    seq: int = 0
    hash: bytes = GENESIS


class Link(msgspec.Struct, frozen=True):
    """An entry at its place."""

    controller: str
    seq: int
    prev: bytes
    hash: bytes
    time: int
    actor: str
    action: str
    object: str
    detail: str

    @property
    def entry(self) -> Entry:
        return Entry(self.actor, self.action, self.object, self.detail)

    @property
    def checkpoint(self) -> Head | None:
        """Where a chain was cut, when this is the entry that says so."""
        words = self.detail.split()
        if self.action != CHECKPOINT or len(words) != 3 or not words[1].isdecimal():
            return None
        try:
            return Head(self.object, int(words[1]), bytes.fromhex(words[2]))
        except ValueError:
            return None


def chain(prev: bytes, controller: str, seq: int, time: int, entry: Entry) -> bytes:
    body = _encode((controller, seq, time, entry))
    return blake2b(prev + body, digest_size=32, person=b"zosnet-audit").digest()


def follow(head: Head, link: Link) -> Head:
    """The chain one entry on. Raises ChainError."""
    made = chain(head.hash, head.controller, link.seq, link.time, link.entry)
    if (link.controller, link.seq, link.prev, link.hash) != (
        head.controller,
        head.seq + 1,
        head.hash,
        made,
    ):
        raise broken(link)
    return Head(link.controller, link.seq, link.hash)


def cut(last: Head, actor: str) -> Entry:
    """The checkpoint of a chain whose entries up to `last` go."""
    return Entry(actor, CHECKPOINT, last.controller, f"through {last.seq} {last.hash.hex()}")


def verify(links: Iterable[Link]) -> dict[str, Head]:
    """The ends of all chains in `links`, each in order. Raises ChainError."""
    ends: dict[str, Head] = {}
    cuts: dict[str, tuple[Head, Link]] = {}
    checkpoints: list[Head] = []
    for link in links:
        head = ends.get(link.controller)
        if head is None:
            head = Head(link.controller)
            if link.seq > 1:
                head = Head(link.controller, link.seq - 1, link.prev)
                cuts[link.controller] = head, link
        ends[link.controller] = follow(head, link)
        if link.checkpoint is not None:
            checkpoints.append(link.checkpoint)
    for head, link in cuts.values():
        if head not in checkpoints:
            raise broken(link, "and no checkpoint says that those before were taken away")
    return ends


def broken(link: Link, why: str = "") -> ChainError:
    said = f"entry {link.seq} of controller {link.controller} does not fit to the one before"
    return ChainError(f"{said} {why}".rstrip())
