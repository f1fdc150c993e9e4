"""Unit files for zinit's 0.2 line: a `Unit` as YAML text, and the units that zosnet has.

    text = render(dhcp_zos(Path("/opt/zosnet/bin/zosnet-agent")))

zinit ignores in silence what it does not know, so a `Unit` has exactly the keys that 0.2.11 knows
and `render` refuses what would be ignored or would do harm. Pure: writes no file, asks no daemon.
"""

import json
import re
import shlex
import signal
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

from runtime.failure import CannotError, Exit

# What is in a program's way is logged once and waited for: zinit would start it anew every 2 s.
PATIENT = "--keep-trying"
SUFFIX = ".yaml"  # zinit passes over .yml
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SIGNALS = {number.name for number in signal.Signals}


class UnitError(CannotError):
    """zinit would reject this unit, or ignore a part of it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot make the unit {name!r}: {reason}", code=Exit.USAGE)


class Log(StrEnum):
    """Where a service's output goes; `ring` is what `zinit log` shows."""

    RING = "ring"
    STDOUT = "stdout"
    NONE = "none"


class Unit(Struct, frozen=True):
    """A service. `exec` and `test` are argument vectors, their programs absolute paths.

    `test` is readiness only: asked each 2 s until it succeeds once. A oneshot that fails is never
    tried again, and a oneshot is never tested. `after` waits for a oneshot's success or for
    another's readiness. zinit 0.2.28 kills 0.5 s after `stop`, whatever `shutdown_timeout_s` says.
    """

    name: str
    exec: tuple[str, ...]
    test: tuple[str, ...] = ()
    oneshot: bool = False
    shutdown_timeout_s: int = 10
    after: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    log: Log = Log.RING
    env: Mapping[str, str] = field(default_factory=dict)
    directory: Path = Path("/")


def internet(agent: Path, *, after: tuple[str, ...] = ()) -> Unit:
    """The boot. A loop, as zinit never again starts a oneshot that was killed. What it prints goes
    to the console, where somebody looks whose node has no network.
    """
    loop = f"until {shlex.quote(str(agent))} internet {PATIENT}; do sleep 2; done"
    command = ("/bin/sh", "-c", loop)
    return Unit(
        "internet", command, oneshot=True, after=after, log=Log.STDOUT, shutdown_timeout_s=5
    )


def dhcp_zos(agent: Path) -> Unit:
    """The lease keeper of the bridge `zos`, which has its lease from the boot: nothing to test."""
    command = (str(agent), "dhcp", "zos", PATIENT)
    return Unit("dhcp-zos", command, after=("internet",), shutdown_timeout_s=5)


def networkd(agent: Path) -> Unit:
    """Ready when ndmz is: that is what the workloads of a node wait for."""
    # The test itself waits: it sees ndmz at once, a slow machine is not kept busy by starting it
    # anew, and zinit's ring has a line of it each half minute.
    test = (str(agent), "wait", "ndmz", "--timeout", "30")
    command = (str(agent), "networkd", PATIENT)
    return Unit("networkd", command, test=test, after=("internet",), shutdown_timeout_s=5)


def controller(serve: tuple[str, ...], *, socket: str) -> Unit:
    """`zosnet-controller`; ready when it answers ncadm on `socket`."""
    ncadm = Path(serve[0]).with_name("ncadm")
    return Unit("zosnet-controller", serve, test=(str(ncadm), "status", "--socket", socket))


def render(unit: Unit) -> str:
    """The text of `<name>.yaml`: the keys that differ from zinit's defaults. Raises UnitError."""
    _check(unit)
    keys: dict[str, object] = {"exec": shlex.join(unit.exec)}
    if unit.test:
        keys["test"] = shlex.join(unit.test)
    if unit.oneshot:
        keys["oneshot"] = True
    if unit.shutdown_timeout_s != 10:
        keys["shutdown_timeout"] = unit.shutdown_timeout_s
    if unit.after:
        keys["after"] = list(unit.after)
    if unit.stop_signal != signal.SIGTERM:
        keys["signal"] = {"stop": unit.stop_signal.name.lower()}
    if unit.log != Log.RING:
        keys["log"] = str(unit.log)
    if unit.env:
        keys["env"] = dict(unit.env)
    if unit.directory != Path("/"):
        keys["dir"] = str(unit.directory)
    # A JSON value is a YAML value, and says in the same way to every reader what is text.
    return "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()
    )


def check_name(name: str) -> str:
    """`name`, if it can be a service's in 0.2.11 and 0.2.28 (which refuses dots)."""
    if not _NAME.fullmatch(name):
        raise UnitError(name, "a name is letters, digits, - and _")
    return name


def _check(unit: Unit) -> None:
    for name in (unit.name, *unit.after):
        check_name(name)
    if not unit.exec:
        raise UnitError(unit.name, "exec is empty")
    if unit.oneshot and unit.test:
        raise UnitError(unit.name, "zinit never tests a oneshot")
    if unit.name in unit.after or len(set(unit.after)) != len(unit.after):
        raise UnitError(unit.name, "after names the unit itself, or a unit twice")
    if unit.shutdown_timeout_s < 0:
        raise UnitError(unit.name, "shutdown_timeout is below 0")
    if unit.stop_signal.name not in _SIGNALS:
        raise UnitError(unit.name, f"zinit knows no signal {unit.stop_signal.name}")
    for path in (*unit.exec[:1], *unit.test[:1], str(unit.directory)):
        if not path.startswith("/"):
            raise UnitError(unit.name, f"{path!r} is no absolute path")
    for key in unit.env:
        if not key or "=" in key:
            raise UnitError(unit.name, f"{key!r} is no name of a variable")
    for text in (*unit.exec, *unit.test, str(unit.directory), *unit.env, *unit.env.values()):
        if not text.isprintable():
            raise UnitError(unit.name, f"{text!r} has a character that cannot be printed")
