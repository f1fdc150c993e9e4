"""The conversation with rtnetlink in one namespace: a request, and the payloads that answer it.

The only module that knows pyroute2, whose import costs 100 ms: import this one late. It encodes
requests and minds sequence numbers; answers are handed on undecoded (`decode` reads them).

One request at a time, and each is carried through even when its caller is cancelled: a dump that
is left half-read makes the kernel refuse the next ones on that socket.
"""

import asyncio
import errno
import logging
import os
import socket
import struct
from typing import Any

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink import rtnl
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netns.encode import Flag, Noun, RefusedError, Request

# Its import has just opened its logger for everything; at debug it says ten lines a message.
logging.getLogger("pyroute2").setLevel(logging.WARNING)

# Its list of a bridge's settings ends two before the one that we need.
_BRIDGE = ifinfmsg.ifinfo.bridge_data
if _BRIDGE.nla_map[-1][0] == "IFLA_BR_MCAST_MLD_VERSION":
    _MORE = (("IFLA_BR_VLAN_STATS_PER_PORT", "uint8"), ("IFLA_BR_MULTI_BOOLOPT", "cdata"))
    _BRIDGE.nla_map = (*_BRIDGE.nla_map, *_MORE)

_NEW, _DELETE, _GET = 0, 1, 2
_KINDS: dict[Noun, tuple[int, int, int]] = {
    Noun.LINK: (rtnl.RTM_NEWLINK, rtnl.RTM_DELLINK, rtnl.RTM_GETLINK),
    Noun.ADDRESS: (rtnl.RTM_NEWADDR, rtnl.RTM_DELADDR, rtnl.RTM_GETADDR),
    Noun.ROUTE: (rtnl.RTM_NEWROUTE, rtnl.RTM_DELROUTE, rtnl.RTM_GETROUTE),
    Noun.NEIGHBOUR: (rtnl.RTM_NEWNEIGH, rtnl.RTM_DELNEIGH, rtnl.RTM_GETNEIGH),
}
_CLASSES: dict[Noun, Any] = {
    Noun.LINK: ifinfmsg,
    Noun.ADDRESS: ifaddrmsg,
    Noun.ROUTE: rtmsg,
    Noun.NEIGHBOUR: ndmsg,
}
_SOL_NETLINK, _EXT_ACK, _STRICT_CHECK = 270, 11, 12
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_FIRST_KIND = 16  # below: acknowledgements, errors, the end of a dump
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed while it was read
_TRIES = 10


class Conversation:
    """`sock` was made inside the namespace by `make_socket`, and is ours from now on.

    All methods raise RefusedError.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._rtnl = AsyncIPRoute(use_socket=sock)
        self._lock = asyncio.Lock()

    async def put(self, request: Request, flags: Flag = Flag.NONE) -> None:
        """Make or change; returns when the kernel has done it."""
        await self._ask(request, _NEW, Flag.ACK | flags)

    async def delete(self, request: Request) -> None:
        await self._ask(request, _DELETE, Flag.ACK)

    async def get(self, request: Request) -> list[bytes]:
        return await self._ask(request, _GET, Flag.NONE)

    async def dump(self, request: Request) -> list[bytes]:
        """The whole table as it was at one moment."""
        return await self._ask(request, _GET, Flag.DUMP)

    async def close(self) -> None:
        """Waits for a request that is under way. More than once is once."""
        async with self._lock:
            if self._socket.fileno() >= 0:
                self._rtnl.close()
                self._socket.close()

    async def _ask(self, request: Request, way: int, flags: Flag) -> list[bytes]:
        return await asyncio.shield(asyncio.ensure_future(self._ask_alone(request, way, flags)))

    async def _ask_alone(self, request: Request, way: int, flags: Flag) -> list[bytes]:
        kind = _KINDS[request.noun][way]
        async with self._lock:
            for _ in range(_TRIES):
                payloads, torn = await self._exchange(request, kind, flags | Flag.REQUEST)
                if not torn:
                    return payloads
        raise RefusedError(errno.EAGAIN, "it changed each time that it was read")

    async def _exchange(self, request: Request, kind: int, flags: Flag) -> tuple[list[bytes], bool]:
        """The payloads, and whether the table changed in between."""
        if self._socket.fileno() < 0:
            raise RefusedError(errno.EBADF, "the conversation was closed")
        payloads: list[bytes] = []
        seen = 0

        def take(data: bytes, offset: int, length: int) -> Any:
            nonlocal seen
            _, answer, answer_flags, sequence, _ = _HEADER.unpack_from(data, offset)
            if answer < _FIRST_KIND:
                return self._rtnl.marshal.parse_one_message(
                    answer, answer_flags, sequence, data, offset, length
                )
            seen |= answer_flags
            payloads.append(data[offset + _HEADER.size : offset + length])
            return {"header": {"type": answer, "flags": answer_flags, "error": None}}

        question = NetlinkRequest(
            self._rtnl, _message(request), msg_type=kind, msg_flags=int(flags), parser=take
        )
        try:
            await question.send()
            async for _ in question.response():
                pass
        except NetlinkError as error:
            raise RefusedError(error.code, _reason(error)) from None
        except OSError as error:
            raise RefusedError(error.errno or errno.EIO, error.strerror or str(error)) from error
        return payloads, bool(seen & _INTERRUPTED)


def make_socket() -> socket.socket:
    """A socket for `Conversation`; call it inside the namespace."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    sock.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
    sock.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
    return sock


def _message(request: Request) -> Any:
    message = _CLASSES[request.noun]()
    for name, value in request.fields.items():
        message[name] = value
    message["attrs"] = list(request.attributes)
    return message


def _reason(error: Any) -> str:
    """The kernel's sentence without its full stop, or the text of the errno."""
    said = error.args[1] if len(error.args) > 1 else None
    return str(said or os.strerror(error.code)).rstrip(".")
