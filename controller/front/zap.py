"""Who may connect (ZeroMQ RFC 27): a thread that asks the database at each handshake.

`n:` + key in hex for a node that is known and not banned (the key that it has named as its next one,
too), `t:` + key for a token that lives; on the sockets of remote administration `a:` + key for an admin,
and nobody else. All others are refused before they can send a byte. The kind is looked at again on
every message.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import zmq
from sqlalchemy import Connection, bindparam, select

from controller.front.sockets import (
    ADMIN_DOMAIN,
    ZAP_DOMAIN,
    receive_all,
    send_all,
    zap_socket,
)
from controller.store.database import open_reader
from controller.store.model import ADMIN_KEY, MEMBER, NODE, TOKEN
from controller.store.prepared import Query
from controller.store.records import State
from protocol.keys import KEY_SIZE

log = logging.getLogger(__name__)

_KNOWN = Query(
    select(NODE.c.id)
    .join(MEMBER, MEMBER.c.node == NODE.c.id)
    .where(
        NODE.c.key == bindparam("key"),
        MEMBER.c.removed_at == 0,
        MEMBER.c.state != State.BANNED.value,
    )
)
_NEXT = Query(  # asked last: a key that was named takes nobody's
    select(NODE.c.id)
    .join(MEMBER, MEMBER.c.node == NODE.c.id)
    .where(
        NODE.c.next_key == bindparam("key"),
        MEMBER.c.removed_at == 0,
        MEMBER.c.state != State.BANNED.value,
    )
)
_TOKEN = Query(
    select(TOKEN.c.key).where(
        TOKEN.c.key == bindparam("key"),
        TOKEN.c.uses_left > 0,
        TOKEN.c.expires_at > bindparam("now"),
        TOKEN.c.revoked_at == 0,
    )
)
_ADMIN = Query(select(ADMIN_KEY.c.key).where(ADMIN_KEY.c.key == bindparam("key")))


def user_id(connection: Connection, key: bytes, now_ms: int, *, domain: bytes = ZAP_DOMAIN) -> str:
    """`n:…`, `t:…`, `a:…`, or nothing for a stranger."""
    if domain == ADMIN_DOMAIN:
        return f"a:{key.hex()}" if _ADMIN.finds(connection, key=key) else ""
    if _KNOWN.finds(connection, key=key):
        return f"n:{key.hex()}"
    if _TOKEN.finds(connection, key=key, now=now_ms):
        return f"t:{key.hex()}"
    if _NEXT.finds(connection, key=key):
        return f"n:{key.hex()}"
    return ""


def answer(request: list[bytes], look_up: Callable[[bytes, bytes], str]) -> list[bytes]:
    """The reply to one ZAP request; anything that is not ours is refused. `look_up` gets domain and
    key.
    """
    sequence = request[1] if len(request) > 1 else b""
    reply = [b"1.0", sequence]
    if len(request) != 7 or request[0] != b"1.0" or request[2] not in (ZAP_DOMAIN, ADMIN_DOMAIN):
        return [*reply, b"500", b"not understood", b"", b""]
    mechanism, key = request[5], request[6]
    if mechanism != b"CURVE" or len(key) != KEY_SIZE:
        return [*reply, b"400", b"not CURVE", b"", b""]
    user = look_up(request[2], key)
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

        def look_up(domain: bytes, key: bytes) -> str:
            return user_id(connection, key, self._now_ms(), domain=domain)

        try:
            while True:
                request = receive_all(self._socket)
                try:
                    reply = answer(request, look_up)
                except Exception:
                    # 300: the client tries again; to 400 and 500 it would say "denied"
                    log.exception("cannot look up a key")
                    reply = [b"1.0", request[1], b"300", b"try again", b"", b""]
                if reply[2] != b"200":
                    self.refused += 1
                    log.debug("connection refused", extra={"reason": reply[3].decode()})
                send_all(self._socket, reply)
        except zmq.ContextTerminated:
            pass
        finally:
            self._socket.close()
            connection.close()
            connection.engine.dispose()
