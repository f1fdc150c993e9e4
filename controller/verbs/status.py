"""How the controller is: who it is, what it holds, what it has done since it started."""

import os
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from controller.store.model import AUDIT
from controller.verbs.office import Items, Office, iso
from controller.verbs.tally import Counts, live_tokens
from runtime.cli import VERSION

MIB = 1024 * 1024


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def show(office: Office, _: Arguments) -> Items:
    registry = office.registry
    counts = office.tally.counts(office.connection, office.now)
    return [
        {
            "controller": registry.controller,
            "version": VERSION,
            "root": registry.keyring.root.hex(),
            "root_key": "here" if registry.keyring.root_signer else "offline",
            "endpoints": list(registry.endpoints),
            "server_key": registry.keyring.curve_public.hex(),
            "incarnation": registry.incarnation,
            "networks": len(registry.networks),
            "members": sum(counts.states.values()),
            "states": counts.states,
            "joined": counts.joined,
            "counted_s": round(office.now - counts.at, 1),
            "pools": counts.pools,
            "fullest_pool": _fullest(office, counts),
            "tokens_live": live_tokens(office.connection, office.now_ms),
            "last_audit": _last_audit(office),
            "damaged": len(registry.seals),
        }
        | _sessions(office)
        | _load(office)
        | _process(office)
    ]


def _fullest(office: Office, counts: Counts) -> dict[str, Any] | None:
    fullest = counts.fullest
    if fullest is None or fullest.network not in office.registry.networks:
        return None
    return {
        "network": office.registry.networks[fullest.network].name,
        "pool": fullest.prefix,
        "used": fullest.used,
        "size": str(fullest.size),  # an IPv6 pool has more than JSON's numbers hold
        "percent": round(100 * fullest.used / fullest.size, 1),
    }


def _last_audit(office: Office) -> dict[str, Any] | None:
    head = office.registry.audit_head
    query = select(AUDIT).where(AUDIT.c.controller == head.controller, AUDIT.c.seq == head.seq)
    row = office.connection.execute(query).first()
    if row is None:
        return None
    return {
        "seq": row.seq,
        "time": iso(row.time),
        "age_s": max(0, office.now_ms - row.time) // 1000,
        "action": row.action,
        "actor": row.actor,
    }


def _sessions(office: Office) -> dict[str, Any]:
    """`stale`: who was pinged because of silence, and how long the longest is."""
    stale, silence = office.sessions.stale(office.now)
    return {"online": len(office.sessions), "stale": stale, "longest_silence_s": round(silence, 1)}


def _load(office: Office) -> dict[str, Any]:
    """`busy`: requests that were told to come later; `strangers`: connections that were refused."""
    counts = office.desk.counts
    return {
        "waiting": office.desk.waiting,
        "busy": counts["busy"],
        "flood": counts["flood"],
        "nonsense": counts["nonsense"],
        "strangers": office.refused(),
        "pushes": office.desk.push.count,
        "requests": {kind: count for kind, count in counts.items() if count},
    }


def _process(office: Office) -> dict[str, Any]:
    uptime, cpu = _uptime(), time.process_time()
    return {
        "pid": os.getpid(),
        "started": iso(office.now_ms - int(uptime * 1000)),
        "uptime_s": round(uptime),
        "cpu_s": round(cpu, 2),
        "cpu_percent": round(100 * cpu / max(uptime, 0.01), 1),
        "rss_mib": _rss_mib(),
        "database_mib": _database_mib(office),
    }


def _uptime() -> float:
    """proc_pid_stat(5): the 22nd field, behind a name that may hold blanks."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    started = int(fields.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _rss_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MIB


def _database_mib(office: Office) -> float:
    """With what lies in its log."""
    path = office.connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    sizes = [file.stat().st_size for file in (Path(path), Path(f"{path}-wal")) if file.exists()]
    return round(sum(sizes) / MIB, 1)
