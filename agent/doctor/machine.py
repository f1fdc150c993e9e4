"""What a node needs of its machine beside the network: rights, clock, disk, config, supervisor."""

import errno
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from agent.config import AgentConfig, Supervisor, load
from agent.doctor.finding import Finding, fail, ok, unknown, warn
from agent.identity import KEY_FILE, load_identity
from runtime import paths
from runtime.cli import require_tool
from runtime.clock import SAVE_EACH, FlooredClock, wall_ms
from runtime.config import ConfigError
from runtime.failure import CannotError
from zinit.client import AbsentError, Client, State
from zinit.install import UNITS
from zinit.units import SUFFIX

# Bits of linux/capability.h. SYS_ADMIN: namespaces; NET_RAW: DHCP before there is an address.
CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21}
SYS_TIME = {"SYS_TIME": 25}
SERVICES = ("internet", "dhcp-zos", "networkd")
LEAST_ROOM = 16 << 20  # bytes
_TRIAL = bytes(64 << 10)
_EARLIEST_MS = 1_700_000_000_000  # November 2023: before that, nobody ran zosnet


def check_rights(status: str, config: AgentConfig) -> Finding:
    """`status`: the text of /proc/self/status."""
    wanted = CAPABILITIES | (SYS_TIME if config.clock == "step" else {})
    held = int(status.split("CapEff:")[1].split(maxsplit=1)[0], 16)
    lacking = [f"CAP_{name}" for name, bit in wanted.items() if not held >> bit & 1]
    if not lacking:
        return ok("rights", "all that are needed")
    if os.geteuid():
        return unknown("rights", "not looked at: this user is not the one that zosnet runs as")
    todo = "in a container, give it these: --cap-add, or --privileged"
    return fail("rights", f"root lacks {', '.join(lacking)} here", todo)


def check_clock(path: Path, config: AgentConfig, wall: Callable[[], int] = wall_ms) -> Finding:
    """Against the latest time that this node wrote down; its floor lies SAVE_EACH above that."""
    behind = FlooredClock(path, wall=wall).behind_ms / 1000 - SAVE_EACH
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(wall() / 1000))
    step = "" if config.clock == "step" else "; clock: step in agent.yaml lets networkd do it"
    todo = f"set it (date -s, or an NTP client){step}"
    if behind > 0:
        said = f"{now}: {behind:.0f} s behind what this node has lived through"
        return fail("clock", f"{said}; WireGuard peers refuse it", todo)
    if wall() < _EARLIEST_MS:
        return warn("clock", f"{now}: it was never set", todo)
    return ok("clock", now)


def check_directory(path: Path) -> Finding:
    """Whether files can be written there, by writing one that has no name."""
    about = str(path)
    existing = next(p for p in (path, *path.parents) if p.exists())
    try:
        _write_nameless(existing)
    except PermissionError:
        return unknown(about)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return fail(about, "the disk is full", f"make room; see: df {existing}")
        if error.errno == errno.EROFS:
            todo = f"mount -o remount,rw $(findmnt -no TARGET -T {existing})"
            return fail(about, "it is read-only", todo)
        return fail(about, f"it cannot be written: {error.strerror}", f"see: ls -ld {existing}")
    facts = os.statvfs(existing)
    room = facts.f_bavail * facts.f_frsize
    if room < LEAST_ROOM or (facts.f_files and not facts.f_favail):
        left = f"{room >> 20} MiB and {facts.f_favail} files are left"
        return warn(about, left, f"make room; see: df {existing}; df -i {existing}")
    return ok(about, f"{room >> 20} MiB free")


def _write_nameless(directory: Path) -> None:
    try:
        file = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
        return  # this filesystem has none; its free room says enough
    try:
        left = memoryview(_TRIAL)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def check_config() -> tuple[AgentConfig, Finding]:
    """All defaults when it cannot be used."""
    try:
        return load(), ok("agent.yaml", "it can be used")
    except ConfigError as error:
        if isinstance(error.__cause__, PermissionError):
            return AgentConfig(), unknown("agent.yaml")
        return AgentConfig(), fail("agent.yaml", error.message, error.hint or "correct that key")


def check_key() -> Finding:
    path = paths.STATE / KEY_FILE
    if not path.exists():
        return ok("node key", "none yet; the first start makes it")
    return ok("node key", f"node {load_identity(path).node_id}")


def check_files(directory: Path) -> list[Finding]:
    """Whether what is kept as JSON can be read."""
    found = []
    for path in sorted(directory.rglob("*.json")):
        try:
            msgspec.json.decode(path.read_bytes())
        except msgspec.MsgspecError as error:
            todo = "bring it back from a backup; what it costs to remove it: docs/operating.md"
            found.append(fail(str(path), f"it is damaged: {error}", todo))
    return found or [ok("state files", "none is damaged")]


def check_supervisor(supervisor: Supervisor, client: Client) -> list[Finding]:
    """Whether it can be asked, and what it says of our services."""
    match supervisor:
        case "none":
            return [ok("supervisor", "none, by config")]
        case "systemd":
            if Path("/run/systemd/system").is_dir():
                return [ok("supervisor", "systemd runs")]
            todo = "supervisor: none in agent.yaml, where there is no systemd"
            return [fail("supervisor", "there is no systemd here", todo)]
        case "zinit":
            return list(_ask_zinit(client))


def _ask_zinit(client: Client) -> Iterator[Finding]:
    try:
        known = client.list()
    except AbsentError as error:
        todo = "start zinit; where there is none: supervisor in agent.yaml"
        yield fail("supervisor", error.message, todo)
        return
    yield ok("supervisor", f"zinit answers, with {len(known)} services")
    for name in SERVICES:
        state = known.get(name)
        if state is None:
            todo = "zosnet-agent internet registers it" if name == "dhcp-zos" else INSTALL
            yield warn(f"service {name}", "zinit does not know it", todo)
        elif state in (State.ERROR, State.FAILURE, State.TEST_FAILURE):
            yield fail(f"service {name}", f"zinit says {state}", f"zinit log {name}")
        else:
            yield ok(f"service {name}", str(state))


INSTALL = "zosnet-agent install"


def check_units(directory: Path = UNITS) -> list[Finding]:
    """Whether the programs that our unit files name are there."""
    found = []
    for name in SERVICES:
        path = directory / f"{name}{SUFFIX}"
        if not path.exists():
            continue
        missing = [p for p in programs(path.read_text()) if not os.access(p, os.X_OK)]
        if missing:
            said = f"it starts {', '.join(missing)}, which is no program here"
            found.append(fail(str(path), said, INSTALL))
        else:
            found.append(ok(str(path), "its programs are there"))
    return found


def programs(unit: str) -> list[str]:
    """The absolute paths in the `exec` of a unit's text, also those inside of `sh -c '…'`."""
    import yaml  # noqa: PLC0415  # only where there are units

    try:
        words = shlex.split(str(dict(yaml.safe_load(unit))["exec"]))
        inner = [part for word in words for part in ([word] if word[:1] == "/" else _split(word))]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise CannotError(f"cannot read a unit: {error}", hint=INSTALL) from error
    return [word for word in dict.fromkeys(inner) if word.startswith("/")]


def _split(script: str) -> list[str]:
    return [word.rstrip(";") for word in shlex.split(script)]


def check_nft() -> Finding:
    """The program; the library that networkd uses comes in the same package."""
    program = require_tool("nft", package="nftables", what="look at rules by hand")
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return ok("nft", ran.stdout.strip() or program)
