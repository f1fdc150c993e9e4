"""DHCPv4 messages: our queries to bytes, a server's bytes to replies (RFC 2131, 2132, 3396, 6842).

    data = encode_query(query)
    reply = decode_reply(data, query=query)       # BadMessageError: count it, drop it

Everybody on the link can send us anything. A reply is taken whole or not at all: a wrong length
in any option we read, or an address nobody may have, refuses the message; a well-formed but
useless extra (a gateway outside the subnet, an MTU of 68) is left out of it, and makes it doubtful.
"""

import re
import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from msgspec import Struct
from msgspec.structs import replace

from agent.dhcp.lease import StaticRoute
from agent.dhcp.options import (
    BadMessageError,
    Options,
    StrayMessageError,
    parse_options,
    render_options,
)

UNSPECIFIED = IPv4Address(0)
COOKIE = b"c\x82Sc"
BOOTREQUEST, BOOTREPLY, ETHERNET = 1, 2, 1
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")  # RFC 2131, section 2
BROADCAST_FLAG = 0x8000
OPTIONS_AT = HEADER.size + len(COOKIE)
MIN_SENT = 300  # what BOOTP relays expect; some drop less
MAX_MESSAGE = 1472  # one Ethernet frame
MIN_LEASE_S = 60  # below, we would do nothing but renew: refused
MIN_RENEW_S = 5
MTU_RANGE = range(576, 9216 + 1)
MAX_DNS = 3  # what resolv.conf takes

# Behind ndmz on every node: a LAN of the same range can be, and is the likelier a trap.
INSIDE = IPv4Network("100.127.0.0/16")

# Blocks no host on a link has its address in. Compared as numbers: a probe waits for it.
_NOBODY = tuple(
    (int(block.network_address), int(block.broadcast_address))
    for block in map(
        IPv4Network,
        ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_DOMAIN = re.compile(rb"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


class MessageType(IntEnum):
    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7


class Option(IntEnum):
    MASK = 1
    ROUTERS = 3
    DNS = 6
    DOMAIN = 15
    MTU = 26
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    TYPE = 53
    SERVER = 54
    WANTED = 55
    TEXT = 56
    MAX_SIZE = 57
    RENEW_TIME = 58
    REBIND_TIME = 59
    CLIENT_ID = 61
    ROUTES = 121


WANTED = (
    Option.MASK,
    Option.ROUTERS,
    Option.DNS,
    Option.DOMAIN,
    Option.MTU,
    Option.LEASE_TIME,
    Option.SERVER,
    Option.RENEW_TIME,
    Option.REBIND_TIME,
)


class Query(Struct, frozen=True, kw_only=True):
    """What a client sends."""

    type: MessageType
    xid: int
    hardware: bytes
    client_id: bytes
    secs: int = 0
    broadcast: bool = False
    ciaddr: IPv4Address = UNSPECIFIED
    requested: IPv4Address | None = None
    server: IPv4Address | None = None
    static_routes: bool = False  # ask for option 121 and believe it
    avoid: tuple[IPv4Network, ...] = ()  # this node's own: neither address nor gateway may be there


class Nak(Struct, frozen=True, kw_only=True):
    server: IPv4Address
    text: str


class Grant(Struct, frozen=True, kw_only=True):
    """An OFFER or an ACK."""

    type: MessageType
    server: IPv4Address
    address: IPv4Interface
    routers: tuple[IPv4Address, ...]
    dns: tuple[IPv4Address, ...]
    domain: str | None
    mtu: int | None
    routes: tuple[StaticRoute, ...]
    lease_s: int
    renew_s: int
    rebind_s: int
    doubtful: bool = False  # something had to be left out, or it leads nowhere


Reply = Grant | Nak


def encode_query(query: Query) -> bytes:
    options: dict[int, bytes] = {
        Option.TYPE: bytes((query.type,)),
        Option.CLIENT_ID: query.client_id,
    }
    if query.requested is not None:
        options[Option.REQUESTED_ADDRESS] = query.requested.packed
    if query.server is not None:
        options[Option.SERVER] = query.server.packed
    if query.type in (MessageType.DISCOVER, MessageType.REQUEST):
        # RFC 3442: who asks for 121 asks for it before 3.
        wanted = (Option.ROUTES, *WANTED) if query.static_routes else WANTED
        options[Option.MAX_SIZE] = MAX_MESSAGE.to_bytes(2, "big")
        options[Option.WANTED] = bytes(wanted)
    header = HEADER.pack(
        BOOTREQUEST,
        ETHERNET,
        len(query.hardware),
        0,
        query.xid,
        min(query.secs, 0xFFFF),
        BROADCAST_FLAG if query.broadcast else 0,
        query.ciaddr.packed,
        *(UNSPECIFIED.packed,) * 3,
        query.hardware,
        b"",
        b"",
    )
    return (header + COOKIE + render_options(options)).ljust(MIN_SENT, b"\0")


def decode_reply(data: bytes, *, query: Query) -> Reply:
    """The server's answer to `query`. Raises BadMessageError for anything else."""
    if not OPTIONS_AT < len(data) <= MAX_MESSAGE:
        raise BadMessageError(f"{len(data)} bytes")
    op, htype, hlen, _, xid, _, _, _, yiaddr, _, _, chaddr, sname, file = HEADER.unpack_from(data)
    if (op, htype, hlen) != (BOOTREPLY, ETHERNET, 6):
        raise StrayMessageError("no reply for Ethernet")
    if xid != query.xid or chaddr[:6] != query.hardware:
        raise StrayMessageError("an answer to somebody else")
    if data[HEADER.size : OPTIONS_AT] != COOKIE:
        raise BadMessageError("no DHCP cookie")
    options = parse_options(data[OPTIONS_AT:], file=file, sname=sname)
    if options.get(Option.CLIENT_ID) not in (None, query.client_id):  # RFC 6842, section 3
        raise BadMessageError("an answer to another client id")
    reply = _reply(options, IPv4Address(yiaddr), static_routes=query.static_routes)
    if isinstance(reply, Grant):
        for own in query.avoid:
            if any(address in own for address in (reply.address.ip, *reply.routers)):
                raise BadMessageError(f"offers {reply.address}, and {own} is this node's own")
    return reply


def _reply(options: Options, yiaddr: IPv4Address, *, static_routes: bool) -> Reply:
    server = options.address(Option.SERVER)
    if server is None or not _may_be_a_host(server):
        raise BadMessageError("no server identifier")
    match options.fixed(Option.TYPE, 1):
        case MessageType.NAK:
            return Nak(server=server, text=_text(options.get(Option.TEXT)))
        case MessageType.OFFER | MessageType.ACK as kind:
            return _grant(MessageType(kind), server, yiaddr, options, static_routes=static_routes)
        case other:
            raise BadMessageError(f"message type {other}")


def _grant(
    kind: MessageType,
    server: IPv4Address,
    yiaddr: IPv4Address,
    options: Options,
    *,
    static_routes: bool,
) -> Grant:
    address = _interface(yiaddr, options)
    routers = options.addresses(Option.ROUTERS)
    routes: tuple[StaticRoute, ...] = ()
    if static_routes and options.get(Option.ROUTES):
        routers, routes = _split_routes(options, address)
    lease_s, renew_s, rebind_s = _times(options)
    mtu, domain = options.fixed(Option.MTU, 2), options.get(Option.DOMAIN)
    gateways = tuple(r for r in routers if _may_be_gateway(r, address))
    grant = Grant(
        type=kind,
        server=server,
        address=address,
        routers=gateways,
        dns=tuple(filter(_may_be_a_host, options.addresses(Option.DNS)))[:MAX_DNS],
        domain=_domain(domain),
        mtu=mtu if mtu is not None and mtu in MTU_RANGE else None,
        routes=routes,
        lease_s=lease_s,
        renew_s=renew_s,
        rebind_s=rebind_s,
    )
    left_out = gateways != routers or grant.mtu != mtu or bool(domain) > bool(grant.domain)
    nowhere = not gateways or address.network.prefixlen == 32 or address.ip in INSIDE
    return replace(grant, doubtful=left_out or nowhere)


def _may_be_a_host(address: IPv4Address) -> bool:
    number = int(address)
    return not any(first <= number <= last for first, last in _NOBODY)


def _interface(address: IPv4Address, options: Options) -> IPv4Interface:
    if not _may_be_a_host(address):
        raise BadMessageError(f"offers {address}")
    mask = options.fixed(Option.MASK, 4)
    if mask is None:
        raise BadMessageError("no subnet mask")
    hosts = mask ^ 0xFFFFFFFF
    if hosts & (hosts + 1) or hosts >= 1 << 24:  # with holes, or wider than any /8
        raise BadMessageError(f"subnet mask {IPv4Address(mask)}")
    if hosts > 1 and int(address) & hosts in (0, hosts):
        raise BadMessageError(f"offers {address}, which is its network's")
    return IPv4Interface((int(address), 32 - hosts.bit_length()))


def _may_be_gateway(gateway: IPv4Address, address: IPv4Interface) -> bool:
    """On our link: inside the subnet, or anywhere when the subnet is only ourselves (/32)."""
    on_link = gateway in address.network or address.network.prefixlen == 32
    return on_link and gateway != address.ip and _may_be_a_host(gateway)


def _is_reserved(network: IPv4Network) -> bool:
    start, end = int(network.network_address), int(network.broadcast_address)
    return any(start <= last and first <= end for first, last in _NOBODY)


def _split_routes(
    options: Options, address: IPv4Interface
) -> tuple[tuple[IPv4Address, ...], tuple[StaticRoute, ...]]:
    """Option 121 as default gateways and other routes; it replaces option 3 (RFC 3442)."""
    routers, routes = [], []
    for destination, gateway in options.routes(Option.ROUTES):
        on_link = gateway == UNSPECIFIED
        if destination.prefixlen == 0:
            routers.append(gateway)
        elif not _is_reserved(destination) and (on_link or _may_be_gateway(gateway, address)):
            routes.append(StaticRoute(destination, None if on_link else gateway))
    return tuple(routers), tuple(routes)


def _times(options: Options) -> tuple[int, int, int]:
    """Lease, T1, T2 in seconds; T1 and T2 that make no sense become half and seven eighths."""
    lease_s = options.fixed(Option.LEASE_TIME, 4)
    if lease_s is None or lease_s < MIN_LEASE_S:
        raise BadMessageError(f"a lease of {lease_s} s")
    renew_s = options.fixed(Option.RENEW_TIME, 4) or lease_s // 2
    rebind_s = options.fixed(Option.REBIND_TIME, 4) or lease_s * 7 // 8
    if not MIN_RENEW_S <= renew_s < rebind_s < lease_s:
        renew_s, rebind_s = lease_s // 2, lease_s * 7 // 8
    return lease_s, renew_s, rebind_s


def _domain(value: bytes | None) -> str | None:
    """A domain that may stand in resolv.conf; anything that could be more is left out."""
    name = (value or b"").rstrip(b"\0")
    return name.decode().rstrip(".") if len(name) <= 253 and _DOMAIN.fullmatch(name) else None


def _text(value: bytes | None) -> str:
    """A server's words, fit for a log line."""
    return "".join(c if c.isprintable() else "?" for c in (value or b"").decode("ascii", "replace"))
