"""Who speaks on an admin socket, as the audit log names it.

local NAME   the user whose process holds the other end of the unix socket
admin NAME   whoever has the admin key of that name; looked up for each message, so that a key which
             was taken away opens nothing from that moment on
"""

import pwd
import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, select

from controller.store.model import ADMIN_KEY
from controller.store.sums import Sums

_PEER = re.compile(r".*:(\d+):(\d+):(\d+)\Z")  # libzmq's words for SO_PEERCRED: uid, gid, pid


def local_actor(frame: Any) -> str:
    match = _PEER.match(frame.get("Peer-Address"))
    return f"local {_user(int(match[1]))}" if match else "local"


def admin_actor(connection: Connection, sums: Sums, frame: Any) -> str | None:
    """None: the key is no admin's, or not any more, or nobody gave it to one."""
    kind, _, key = frame.get("User-Id").partition(":")
    if kind != "a":
        return None
    public = bytes.fromhex(key)
    query = select(ADMIN_KEY.c.name, ADMIN_KEY.c.sum).where(ADMIN_KEY.c.key == public)
    with connection.begin():
        found = connection.execute(query).first()
    if found is None or found.sum != sums.admin(public, found.name):
        return None
    return f"admin {found.name}"


@lru_cache(maxsize=256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
