"""Who may connect (ZeroMQ RFC 27): a thread that asks the database at each handshake.

`n:` + key in hex for a node that is known and not banned, `t:` + key for a token that lives; all others
are refused before they can send a byte. The kind is looked at again on every message.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import zmq
from sqlalchemy import Connection, bindparam, select

from controller.database import open_reader
from controller.model import MEMBER, NODE, TOKEN
from controller.records import State
from controller.sockets import ZAP_DOMAIN, zap_socket
from protocol.keys import KEY_SIZE

log = logging.getLogger(__name__)

_KNOWN = (
    select(NODE.c.id)
    .join(MEMBER, MEMBER.c.node == NODE.c.id)
    .where(
        NODE.c.key == bindparam("key"),
        MEMBER.c.removed_at == 0,
        MEMBER.c.state != State.BANNED.value,
    )
    .limit(1)
)
_TOKEN = select(TOKEN.c.key).where(
    TOKEN.c.key == bindparam("key"),
    TOKEN.c.uses_left > 0,
    TOKEN.c.expires_at > bindparam("now"),
)


def user_id(connection: Connection, key: bytes, now_ms: int) -> str:
    """`n:…`, `t:…`, or nothing for a stranger."""
    if connection.execute(_KNOWN, {"key": key}).first() is not None:
        return f"n:{key.hex()}"
    if connection.execute(_TOKEN, {"key": key, "now": now_ms}).first() is not None:
        return f"t:{key.hex()}"
    return ""


def answer(request: list[bytes], look_up: Callable[[bytes], str]) -> list[bytes]:
    """The reply to one ZAP request; anything that is not ours is refused."""
    sequence = request[1] if len(request) > 1 else b""
    reply = [b"1.0", sequence]
    if len(request) != 7 or request[0] != b"1.0" or request[2] != ZAP_DOMAIN:
        return [*reply, b"500", b"not understood", b"", b""]
    mechanism, key = request[5], request[6]
    if mechanism != b"CURVE" or len(key) != KEY_SIZE:
        return [*reply, b"400", b"not CURVE", b"", b""]
    user = look_up(key)
    if not user:
        return [*reply, b"400", b"unknown key", b"", b""]
    return [*reply, b"200", b"OK", user.encode(), b""]


class Zap:
    """The thread. Make it before the socket that asks it; `stop` by ending the context."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        database: Path,
        now_ms: Callable[[], int],
    ) -> None:
        self._socket = zap_socket(context)
        self._database, self._now_ms = database, now_ms
        self.refused = 0
        self._thread = threading.Thread(target=self._serve, name="zap", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(5.0)

    def _serve(self) -> None:
        connection = open_reader(self._database)

        def look_up(key: bytes) -> str:
            return user_id(connection, key, self._now_ms())

        try:
            while True:
                request = self._socket.recv_multipart()
                try:
                    reply = answer(request, look_up)
                except Exception:
                    # 300: the client tries again; to 400 and 500 it would say "denied"
                    log.exception("cannot look up a key")
                    reply = [b"1.0", request[1], b"300", b"try again", b"", b""]
                if reply[2] != b"200":
                    self.refused += 1
                    log.debug("connection refused", extra={"reason": reply[3].decode()})
                self._socket.send_multipart(reply)
        except zmq.ContextTerminated:
            pass
        finally:
            self._socket.close()
            connection.close()
            connection.engine.dispose()
