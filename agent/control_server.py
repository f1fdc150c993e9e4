"""networkd's end of the control socket: one request a connection, answered by a handler.

async with serve_control({"leave": leave}): ...     # leave(arguments) -> something JSON can say
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from agent.control import MAX_LINE, SOCKET
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


@asynccontextmanager
async def serve_control(handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer on the socket while the context is open; a socket left by a killed networkd goes."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(30):
                answer = await _answer(await reader.readline(), handlers)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            log.debug("control connection dropped")
        finally:
            writer.close()

    SOCKET.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    SOCKET.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(converse, SOCKET, limit=MAX_LINE)
    SOCKET.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        SOCKET.unlink(missing_ok=True)


async def _answer(line: bytes, handlers: Mapping[str, Handler]) -> dict[str, Any]:
    try:
        request = json.loads(line)
        handler = handlers[request["verb"]]
        arguments = dict(request.get("arguments", {}))
    except (ValueError, KeyError, TypeError):
        return {
            "error": "cannot answer: this networkd does not know that request",
            "code": int(Exit.USAGE),
        }
    try:
        return {"result": await handler(arguments)}
    except CannotError as error:
        return {"error": error.message, "hint": error.hint, "code": int(error.code)}
