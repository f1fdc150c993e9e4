"""ICMP echo: the packets, and whom to ask when. Pure.

    asker = Asker(targets, now)
    for target, sequence in asker.due(now): send(encode_echo(...))
    asker.heard(address, sequence, now)         # at an answer

Each address is asked quickly until it has answered once, ever more slowly while it does not, and
rarely after. A handshake is no proof that packets pass; an answer is.
"""

import struct
from collections.abc import Collection

from msgspec import Struct, field

from netns.values import IPAddress

FIRST_PAUSE = 0.03  # seconds
GROWTH = 1.3
SLOWEST = 2.0  # for one that has not answered yet
RARELY = 4.0  # one that answers; in large networks less often, by
RATE = 20.0  # questions a second, at most, to those that answer
LOST_AFTER = 2.0
MISSES = 3  # until it counts as not reachable any more
RETRY = 0.5  # the pause after a miss, of one that answered before
MAX_AT_ONCE = 64
MAX_OPEN = 64

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


def encode_echo(family: int, identifier: int, sequence: int) -> bytes:
    """An echo request without data (RFC 792, RFC 4443). The kernel sums up ICMPv6."""
    packet = _HEADER.pack(_REQUEST[family], 0, 0, identifier, sequence)
    return _HEADER.pack(_REQUEST[family], 0, _checksum(packet), identifier, sequence)


def decode_reply(family: int, packet: bytes) -> tuple[int, int] | None:
    """(identifier, sequence) of an echo reply as a raw socket gives it: IPv4 with its header."""
    start = (packet[0] & 0x0F) * 4 if family == 4 and packet else 0
    if len(packet) < start + _HEADER.size:
        return None
    kind, code, _, identifier, sequence = _HEADER.unpack_from(packet, start)
    return (identifier, sequence) if (kind, code) == (_REPLY[family], 0) else None


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Contact(Struct):
    """What is known of one address."""

    next_at: float
    pause: float = FIRST_PAUSE
    open: dict[int, float] = field(default_factory=dict)  # sequence: when it was asked
    answered_at: float | None = None
    rtt: float | None = None
    misses: int = 0

    @property
    def reachable(self) -> bool | None:
        """None: it has not answered yet."""
        return None if self.answered_at is None else self.misses < MISSES


class Asker:
    def __init__(self) -> None:
        self.contacts: dict[IPAddress, Contact] = {}
        self._sequence = 0

    def aim(self, addresses: Collection[IPAddress], now: float) -> None:
        """Whom to ask from now on; what is known of the others is forgotten."""
        known = self.contacts
        self.contacts = {a: known.get(a) or Contact(now) for a in addresses}

    def hurry(self, now: float) -> None:
        """The device is new, or the node is elsewhere: begin anew with all of them."""
        self.contacts = {address: Contact(now) for address in self.contacts}

    @property
    def deadline(self) -> float | None:
        return min((contact.next_at for contact in self.contacts.values()), default=None)

    def due(self, now: float) -> list[tuple[IPAddress, int]]:
        """Whom to ask now, with the sequence number of the question."""
        asked: list[tuple[IPAddress, int]] = []
        for address, contact in self.contacts.items():
            if contact.next_at > now:
                continue
            if len(asked) == MAX_AT_ONCE:
                break
            self._sequence = (self._sequence + 1) % 0x10000
            self._ask(contact, now)
            asked.append((address, self._sequence))
        return asked

    def _ask(self, contact: Contact, now: float) -> None:
        if contact.open and contact.answered_at is not None:
            contact.misses += 1
        if len(contact.open) == MAX_OPEN:
            contact.open.pop(next(iter(contact.open)))
        contact.open[self._sequence] = now
        if contact.answered_at is None or contact.misses:
            contact.next_at = now + contact.pause
            contact.pause = min(contact.pause * GROWTH, SLOWEST)
        else:
            contact.next_at = now + LOST_AFTER

    def heard(self, address: IPAddress, sequence: int, now: float) -> bool:
        """An answer; True when it is the first of this address, or the first after a silence."""
        contact = self.contacts.get(address)
        if contact is None or sequence not in contact.open:
            return False
        new = not contact.reachable
        contact.rtt = now - contact.open[sequence]
        contact.open.clear()
        contact.answered_at, contact.misses, contact.pause = now, 0, RETRY
        contact.next_at = now + max(RARELY, len(self.contacts) / RATE)
        return new
