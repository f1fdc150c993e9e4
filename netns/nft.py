"""nftables by text through libnftables: one call, one transaction, no program forked.

    nft = await Nft.open(spaces, "ndmz")
    await nft.run("add table inet zosnet_guard; flush table inet zosnet_guard; …")

All of a text is loaded or nothing. Never delete a base chain on reload (flush and add): between
delete and create packets pass. Match interfaces by iifname and oifname.

The library keeps its netlink socket in the namespace in which the context was made, and is not
safe for threads; every call runs in the one namespace thread.
"""

import ctypes
import socket
import struct
from functools import cache

from netns.spaces import Spaces
from runtime.failure import CannotError, Exit

LIBRARY = "libnftables.so.1"
_NETLINK_NETFILTER = 12
# nlmsghdr (NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN; a request), nfgenmsg
_ASK_GENERATION = struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0)
_ERROR = 2


class NftError(CannotError):
    """nftables refused a text; nothing of it was loaded."""

    def __init__(self, space: str, said: str) -> None:
        where = f" in namespace {space}" if space else ""
        first = said.strip().splitlines()[0] if said.strip() else "no reason given"
        super().__init__(f"cannot load nftables rules{where}: {first}")
        self.said = said  # all of it, with the place in the text


class Nft:
    """nftables of one namespace."""

    def __init__(self, spaces: Spaces, space: str, context: int) -> None:
        self._spaces, self._space, self._context = spaces, space, context

    @classmethod
    async def open(cls, spaces: Spaces, space: str) -> "Nft":
        """Raises CannotError when there is no library or no namespace."""
        return cls(spaces, space, await spaces.run(space, _new_context))

    async def run(self, text: str, *, check: bool = False) -> str:
        """Load `text` in one transaction (`check`: only try); returns what it printed.

        Raises NftError.
        """
        return await self._spaces.run(self._space, self._run, text, check=check)

    async def listing(self, what: str) -> str:
        """`nft list WHAT`, such as "ruleset" or "table inet zosnet_guard". Raises NftError."""
        return await self.run(f"list {what}")

    async def tables(self) -> frozenset[tuple[str, str]]:
        """(family, name) of every table in the namespace, foreign ones too."""
        lines = (line.split() for line in (await self.listing("tables")).splitlines())
        return frozenset((words[1], words[2]) for words in lines if len(words) == 3)

    async def generation(self) -> int:
        """The number of this ruleset: another after each change, whoever made it."""
        return await self._spaces.run(self._space, read_generation)

    async def close(self) -> None:
        """Free the context, which keeps the namespace alive. More than once is once."""
        context, self._context = self._context, 0
        if context:
            await self._spaces.run("", _library().nft_ctx_free, context)

    def _run(self, text: str, *, check: bool) -> str:
        if not self._context:
            raise NftError(self._space, "it was closed")
        library = _library()
        library.nft_ctx_set_dry_run(self._context, check)
        refused = library.nft_run_cmd_from_buffer(self._context, text.encode())
        output = library.nft_ctx_get_output_buffer(self._context) or b""
        error = library.nft_ctx_get_error_buffer(self._context) or b""
        if refused:
            raise NftError(self._space, error.decode(errors="replace"))
        return str(output.decode())


def read_generation() -> int:
    """The number of the ruleset of the namespace we are in; 0 where there is no nftables. Costs a
    twentieth of a listing.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        sock = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
    except OSError:
        return 0
    with sock:
        sock.settimeout(1)
        sock.sendto(_ASK_GENERATION, (0, 0))
        answer = sock.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] == _ERROR:
        return 0
    return int(struct.unpack_from("!I", answer, 24)[0])  # NFTA_GEN_ID comes first


def _new_context() -> int:
    library = _library()
    context = library.nft_ctx_new(0)
    if not context:
        raise CannotError("cannot use nftables: libnftables made no context")
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    return int(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise CannotError(
            f"cannot use nftables: there is no {LIBRARY} on this machine",
            hint="apt-get install nftables",
            code=Exit.USAGE,
        ) from error
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    _declare(library.nft_ctx_new, [ctypes.c_uint32], pointer)
    _declare(library.nft_ctx_free, [pointer], None)
    _declare(library.nft_ctx_buffer_output, [pointer], ctypes.c_int)
    _declare(library.nft_ctx_buffer_error, [pointer], ctypes.c_int)
    _declare(library.nft_ctx_get_output_buffer, [pointer], text)
    _declare(library.nft_ctx_get_error_buffer, [pointer], text)
    _declare(library.nft_ctx_set_dry_run, [pointer, ctypes.c_bool], None)
    _declare(library.nft_run_cmd_from_buffer, [pointer, text], ctypes.c_int)
    return library


def _declare(function: "ctypes._NamedFuncPointer", takes: list[type], gives: type | None) -> None:
    function.argtypes, function.restype = takes, gives
