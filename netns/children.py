"""Daemons that we start in a namespace and that outlive us: wireguard-go, radvd.

    pid = children.find("wg-1a2b3c") or await children.spawn(spaces, space, argv, name=…, log_path=…)
    await children.ended("wg-1a2b3c")      # returns when it has died

A child has a session of its own, is an orphan from birth and in a control group apart, so the end of
our session does not reach it, nor of all our children, nor of our group. Who starts again finds it by
its pidfile under /run/zosnet/children, which holds the start time too: a pid that now belongs to
somebody else is neither adopted nor killed. The child writes that file before it becomes
the program, so there is no moment in which we can be killed and lose it.
"""

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from netns import cgroup
from netns.spaces import Spaces
from runtime import paths
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

DIRECTORY = paths.RUN / "children"
_KILL_AFTER = 3.0  # seconds between SIGTERM and SIGKILL
_START_WITHIN = 5.0

# $0 is the pidfile, $1 the group's cgroup.procs, the rest the program; the shell itself ends at once. Field 22 of /proc/PID/stat is
# the start time; the name in field 2 may hold anything, so the count begins behind its last
# parenthesis.
_RECORD = """
cd /
pick() { shift 19; start=$1; }
group=$1
shift
{
    echo 0 >"$group"
    read -r stat </proc/self/stat
    pick ${stat##*) }
    echo "${stat%% *} $start" >"$0" && exec "$@"
} &
"""


class _Identity(Struct, frozen=True):
    pid: int
    start: int  # clock ticks since boot


async def spawn(
    spaces: Spaces, space: str, argv: Sequence[str], *, name: str, log_path: Path
) -> int:
    """Start `argv` inside `space`, its output appended to `log_path`; returns the pid.

    Raises CannotError when the program does not exist, or when `name` lives already.
    """
    living = find(name)
    if living is not None:
        raise CannotError(
            f"cannot start {name}: it runs already as process {living}", code=Exit.CONFLICT
        )
    program = shutil.which(argv[0])
    if program is None:
        raise CannotError(
            f"cannot start {name}: there is no {argv[0]} on this machine", code=Exit.NOT_FOUND
        )
    pidfile = _pidfile(name)
    pidfile.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    await spaces.run(space, _start, [program, *argv[1:]], pidfile, log_path)
    pid = await _recorded(pidfile, name, log_path)
    log.info("child started", extra={"child": name, "pid": pid, "space": space})
    return pid


def find(name: str) -> int | None:
    """The pid of the child `name` if it lives, whoever started it."""
    identity = _read_identity(_pidfile(name))
    return identity.pid if identity is not None and _lives(identity) else None


async def stop(name: str, *, kill_after: float = _KILL_AFTER) -> None:
    """End the child `name`: SIGTERM, then SIGKILL. Returns when it is gone; none is fine."""
    identity = _read_identity(_pidfile(name))
    handle = _open_handle(identity)
    if handle is not None:
        try:
            await _end(handle, kill_after)
        finally:
            os.close(handle)
        log.info("child stopped", extra={"child": name})
    _pidfile(name).unlink(missing_ok=True)
    cgroup.forget()


async def ended(name: str) -> None:
    """Return when the child `name` is dead, at once when there is none."""
    handle = _open_handle(_read_identity(_pidfile(name)))
    if handle is None:
        return
    try:
        await _readable(handle)
    finally:
        os.close(handle)


def _start(argv: list[str], pidfile: Path, log_path: Path) -> None:
    """Runs in the namespace thread: a child is born where its parent's thread is."""
    pidfile.write_bytes(b"")  # what an earlier one of this name left
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    shell = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _RECORD, str(pidfile), str(cgroup.apart() or os.devnull), *argv],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_path), append, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, its children should not
    )
    os.waitpid(shell, 0)


def _inheritable() -> list[int]:
    """What our own parent left open in us; a daemon that held its pipes would keep it waiting."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names are what is wanted
        with suppress(OSError):  # the directory's own descriptor
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


async def _recorded(pidfile: Path, name: str, log_path: Path) -> int:
    """The child's pid, when it has written who it is: `find` finds it from now on."""
    deadline = asyncio.get_running_loop().time() + _START_WITHIN
    while (identity := _read_identity(pidfile)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise CannotError(f"cannot start {name}: it died at once", hint=f"see {log_path}")
        await asyncio.sleep(0.001)
    return identity.pid


def _pidfile(name: str) -> Path:
    return DIRECTORY / f"{name}.pid"


def _read_identity(path: Path) -> _Identity | None:
    """None: no such child, or its file is not whole."""
    try:
        text = path.read_text()
        pid, start = text.split()
        return _Identity(int(pid), int(start)) if text.endswith("\n") else None
    except (OSError, ValueError):
        return None


def _lives(identity: _Identity) -> bool:
    try:
        stat = Path(f"/proc/{identity.pid}/stat").read_text(errors="replace")
        fields = stat.rpartition(")")[2].split()
        return fields[0] not in ("Z", "X") and int(fields[19]) == identity.start
    except (OSError, ValueError, IndexError):
        return False


def _open_handle(identity: _Identity | None) -> int | None:
    """A pidfd of the child, None when it is dead. Opened first and compared then: the pid cannot
    change hands in between.
    """
    if identity is None:
        return None
    try:
        handle = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if _lives(identity):
        return handle
    os.close(handle)
    return None


async def _end(handle: int, kill_after: float) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    try:
        async with asyncio.timeout(kill_after):
            await _readable(handle)
    except TimeoutError:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        await _readable(handle)


async def _readable(handle: int) -> None:
    """A pidfd is readable when its process has ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(handle, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(handle)
