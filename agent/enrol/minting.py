"""Tokens that this node makes for others, as a member with the role `mint`.

The key pair is made here and only its public half is sent; what comes back makes the join string. A
person waits for it at a terminal, so it is asked once, and not again over the next connection.
"""

import asyncio
from collections.abc import Callable

from protocol.joinstring import JoinString, render_join_string
from protocol.keys import CurvePublic, VerifyKey, new_curve_pair
from protocol.messages import Code, Mint, Minted, Refused, Reply, encode
from runtime.failure import CannotError, Exit

PATIENCE = 8.0  # seconds; less than that of the command
_FIRST = 1 << 31  # the ids of the machine's own requests are below


class Minting:
    """`send` says whether there was a connection to send on."""

    def __init__(self, root: VerifyKey, send: Callable[[bytes], bool]) -> None:
        self._root, self._send = root, send
        self._last = _FIRST
        self._awaited: dict[int, asyncio.Future[Reply]] = {}

    def take(self, reply: Reply) -> None:
        """Whatever comes in; others look at it as well."""
        future = self._awaited.get(getattr(reply, "id", 0))
        if future is not None and not future.done():
            future.set_result(reply)

    async def mint(self, network: str, *, uses: int, seconds: int) -> str:
        """The join string. Raises CannotError."""
        public, secret = new_curve_pair()
        self._last += 1
        message = Mint(self._last, network, bytes(public), uses, seconds * 1000)
        reply = await self._ask(message)
        if isinstance(reply, Refused):
            code = Exit.EXHAUSTED if reply.code == Code.POOL_EXHAUSTED else Exit.DENIED
            raise CannotError(reply.message, hint=reply.hint or None, code=code)
        if not isinstance(reply, Minted) or not reply.controllers:
            raise CannotError(
                "cannot make a token: the controller answered something else",
                hint="do zosnet-agent and controller differ in version?",
            )
        places = tuple((endpoint, CurvePublic(key)) for endpoint, key in reply.controllers)
        return render_join_string(JoinString(self._root, secret, places))

    async def _ask(self, message: Mint) -> Reply:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._awaited[message.id] = future
        try:
            if not self._send(encode(message)):
                raise _unreachable("there is no connection to it")
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError as error:
            raise _unreachable(f"no answer within {PATIENCE:.0f} s") from error
        finally:
            del self._awaited[message.id]


def _unreachable(reason: str) -> CannotError:
    return CannotError(
        f"cannot ask the controller for a token: {reason}",
        hint="see: zosnet-agent status",
        code=Exit.UNREACHABLE,
    )
