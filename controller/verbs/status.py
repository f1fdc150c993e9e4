"""How the controller is: who it is, what it holds, what it has done since it started."""

import os
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from controller import model
from controller.verbs.office import Items, Office


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def show(office: Office, _: Arguments) -> Items:
    registry = office.registry
    members = select(func.count()).where(model.MEMBER.c.removed_at == 0)
    joined = members.where(model.MEMBER.c.wireguard.is_not(None))
    return [
        {
            "controller": registry.controller,
            "root": registry.keyring.root.hex(),
            "root_key": "here" if registry.keyring.root_signer else "offline",
            "endpoints": list(registry.endpoints),
            "pid": os.getpid(),
            "networks": len(registry.networks),
            "members": office.connection.execute(members).scalar_one(),
            "joined": office.connection.execute(joined).scalar_one(),
            "online": len(office.sessions),
            "waiting": office.desk.waiting,
            "pushes": office.desk.push.count,
            "strangers": office.refused(),
            "requests": dict(office.desk.counts),
            "rss_mib": _rss_mib(),
            "incarnation": registry.incarnation,
        }
    ]


def _rss_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)
