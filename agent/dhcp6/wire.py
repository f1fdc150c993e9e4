"""DHCPv6 messages about a delegated prefix: our queries to bytes, a server's bytes to answers (RFC 8415).

    data = encode_query(query)
    answer = decode_answer(data, query=query, avoid=lan)    # BadMessageError: count it, drop it

Everybody on the link can send us anything. A message with a length that does not fit is refused whole.
Of several prefixes those that nobody may delegate are left out, with a reason; when none is left, the
message is refused for the first of them.
"""

import struct
from collections.abc import Collection, Iterator
from enum import IntEnum
from ipaddress import IPv6Network

from msgspec import Struct

from agent.dhcp.options import BadMessageError, StrayMessageError

IAID = 1  # we ask for one thing on one link
MAX_MESSAGE = 1500
MAX_DUID = 130  # RFC 8415, 11.1
MAX_OPTIONS = 64
MIN_VALID_S = 60  # below, we would do nothing but renew: refused
MIN_RENEW_S = 10
MAX_ELAPSED = 0xFFFF
LENGTHS = range(32, 65)  # of a prefix: shorter ones are a provider's own, a longer has no /64
# RFC 8415, 21.24 has up to a day: who is not our server could make us ask that seldom.
SOL_MAX_RT_RANGE = range(60, 3601)
MOST = 8  # prefixes that are looked at

GLOBAL = IPv6Network("2000::/3")
# Teredo and 6to4 would be unwrapped to somebody's IPv4.
_NOBODY = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
_HEAD, _IA, _PREFIX = struct.Struct("!HH"), struct.Struct("!III"), struct.Struct("!IIB16s")


class MessageType(IntEnum):
    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8


class Option(IntEnum):
    CLIENT = 1
    SERVER = 2
    WANTED = 6
    PREFERENCE = 7
    ELAPSED = 8
    STATUS = 13
    IA_PD = 25
    IA_PREFIX = 26
    SOL_MAX_RT = 82


class Status(IntEnum):
    """Others stay plain numbers."""

    SUCCESS = 0
    FAILED = 1
    NO_BINDING = 3
    NO_PREFIX = 6


class Query(Struct, frozen=True, kw_only=True):
    """What a client sends; `prefix` is the one that it has, or had."""

    type: MessageType
    xid: int  # 24 bits
    client: bytes  # DUIDs
    server: bytes | None = None
    prefix: IPv6Network | None = None
    elapsed_s: float = 0.0


class Offer(Struct, frozen=True, kw_only=True):
    """`valid_s` 0: it is taken back."""

    prefix: IPv6Network
    preferred_s: int
    valid_s: int


class Answer(Struct, frozen=True, kw_only=True):
    """An ADVERTISE or a REPLY. T1 and T2 are as the server said; 0: as we like."""

    type: MessageType
    server: bytes
    offers: tuple[Offer, ...] = ()
    renew_s: int = 0
    rebind_s: int = 0
    status: int = Status.SUCCESS
    preference: int = 0
    sol_max_rt: int | None = None
    left_out: tuple[str, ...] = ()  # prefixes that were refused, and why


def encode_query(query: Query) -> bytes:
    body = _option(Option.CLIENT, query.client)
    if query.server is not None:
        body += _option(Option.SERVER, query.server)
    elapsed = min(int(query.elapsed_s * 100), MAX_ELAPSED)
    body += _option(Option.ELAPSED, elapsed.to_bytes(2, "big"))
    body += _option(Option.WANTED, Option.SOL_MAX_RT.to_bytes(2, "big"))  # RFC 8415, 21.7: a MUST
    prefix = b""
    if query.prefix is not None:
        packed = query.prefix.network_address.packed
        prefix = _option(Option.IA_PREFIX, _PREFIX.pack(0, 0, query.prefix.prefixlen, packed))
    body += _option(Option.IA_PD, _IA.pack(IAID, 0, 0) + prefix)
    return bytes((query.type,)) + query.xid.to_bytes(3, "big") + body


def decode_answer(data: bytes, *, query: Query, avoid: Collection[IPv6Network] = ()) -> Answer:
    """The server's answer to `query`. No prefix that overlaps one of `avoid` is taken.

    Raises BadMessageError for anything else.
    """
    if not 4 < len(data) <= MAX_MESSAGE:
        raise BadMessageError(f"{len(data)} bytes")
    if data[0] not in (MessageType.ADVERTISE, MessageType.REPLY):
        raise StrayMessageError(f"message type {data[0]}")
    if int.from_bytes(data[1:4], "big") != query.xid:
        raise StrayMessageError("an answer to another question")
    options = list(_options(data[4:]))
    if _single(options, Option.CLIENT) != query.client:
        raise StrayMessageError("an answer to another client")
    server = _single(options, Option.SERVER)
    if server is None or not 2 < len(server) <= MAX_DUID:
        raise BadMessageError("no server identifier")
    preference = _number(options, Option.PREFERENCE, 1) or 0
    patience = _number(options, Option.SOL_MAX_RT, 4)
    status = _status(options)
    renew_s, rebind_s, inner = _our_ia(options)
    offers, left_out = _offers(inner, avoid)
    if left_out and not offers:
        raise BadMessageError(left_out[0])
    return Answer(
        type=MessageType(data[0]),
        server=server,
        offers=offers,
        renew_s=renew_s,
        rebind_s=rebind_s,
        status=_status(inner) or status,
        preference=preference,
        sol_max_rt=patience if patience in SOL_MAX_RT_RANGE else None,
        left_out=left_out,
    )


Options = list[tuple[int, bytes]]


def _option(number: int, value: bytes) -> bytes:
    return _HEAD.pack(number, len(value)) + value


def _options(area: bytes) -> Iterator[tuple[int, bytes]]:
    at = count = 0
    while at < len(area):
        if at + _HEAD.size > len(area):
            raise BadMessageError("an option is cut off")
        number, size = _HEAD.unpack_from(area, at)
        at += _HEAD.size
        count += 1
        if at + size > len(area) or count > MAX_OPTIONS:
            raise BadMessageError(f"option {number} is cut off, or there are too many")
        yield number, area[at : at + size]
        at += size


def _single(options: Options, number: int) -> bytes | None:
    found = [value for n, value in options if n == number]
    if len(found) > 1:
        raise BadMessageError(f"option {number} is there {len(found)} times")
    return found[0] if found else None


def _number(options: Options, number: int, size: int) -> int | None:
    value = _single(options, number)
    if value is not None and len(value) != size:
        raise BadMessageError(f"option {number} has {len(value)} bytes, not {size}")
    return None if value is None else int.from_bytes(value, "big")


def _status(options: Options) -> int:
    value = _single(options, Option.STATUS)
    if value is not None and len(value) < 2:
        raise BadMessageError("a status without its code")
    return int(Status.SUCCESS) if value is None else int.from_bytes(value[:2], "big")


def _our_ia(options: Options) -> tuple[int, int, Options]:
    """T1, T2 and the options of the association that we ask for."""
    ours = []
    for number, value in options:
        if number == Option.IA_PD:
            if len(value) < _IA.size:
                raise BadMessageError("an association is cut off")
            iaid, renew_s, rebind_s = _IA.unpack_from(value)
            if iaid == IAID:
                ours.append((renew_s, rebind_s, list(_options(value[_IA.size :]))))
    if len(ours) > 1:
        raise BadMessageError("our association is there more than once")
    if not ours:
        return 0, 0, []
    renew_s, rebind_s, inner = ours[0]
    if 0 < rebind_s < renew_s:  # RFC 8415, 21.21
        raise BadMessageError(f"T1 ({renew_s} s) after T2 ({rebind_s} s)")
    return renew_s, rebind_s, inner


def _offers(
    inner: Options, avoid: Collection[IPv6Network]
) -> tuple[tuple[Offer, ...], tuple[str, ...]]:
    offers, left_out = [], []
    for number, value in inner:
        if number != Option.IA_PREFIX:
            continue
        if len(value) < _PREFIX.size:
            raise BadMessageError("a prefix is cut off")
        preferred_s, valid_s, length, packed = _PREFIX.unpack_from(value)
        list(_options(value[_PREFIX.size :]))  # must be whole as well
        if length > 128:
            raise BadMessageError(f"a prefix of {length} bits")
        offer = Offer(
            prefix=IPv6Network((packed, length), strict=False),
            preferred_s=preferred_s,
            valid_s=valid_s,
        )
        if wrong := _refusal(offer, packed, avoid):
            left_out.append(f"offers {offer.prefix}: {wrong}")
        else:
            offers.append(offer)
    return tuple(offers[:MOST]), tuple(left_out[:MOST])


def _refusal(offer: Offer, packed: bytes, avoid: Collection[IPv6Network]) -> str:
    """Why nobody may delegate it, or its times are none; empty when it may be used."""
    prefix = offer.prefix
    if prefix.prefixlen not in LENGTHS:
        return f"a prefix has {LENGTHS[0]} to {LENGTHS[-1]} bits"
    if prefix.network_address.packed != packed:
        return "it has bits behind its length"
    if not prefix.subnet_of(GLOBAL) or any(prefix.overlaps(block) for block in _NOBODY):
        return "it is not global"
    for own in avoid:
        if prefix.overlaps(own):
            return f"{own} is the LAN's or this node's own"
    if offer.preferred_s > offer.valid_s:  # RFC 8415, 21.22
        return f"preferred for {offer.preferred_s} s and valid for {offer.valid_s} s"
    if 0 < offer.valid_s < MIN_VALID_S:
        return f"valid for {offer.valid_s} s"
    return ""
