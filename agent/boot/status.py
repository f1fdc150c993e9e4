"""What `internet` says of itself, in RUN/internet.json; loads neither asyncio nor pyroute2.

    status = load()                      # None before the first start
    started = boot_instant(now)          # CLOCK_BOOTTIME of the first start after power-on

The file is written at each step that begins, so it also is the journal that says how far a killed
boot had come. Seconds are relative to `boot_instant`; addresses are text here.
"""

import os
from enum import StrEnum
from pathlib import Path

import msgspec

from agent.phases import BOOT
from runtime import files
from runtime.clock import boottime
from runtime.failure import CannotError
from runtime.paths import RUN

PATH = BOOT
INSTANT = RUN / "boot.json"


class Step(StrEnum):
    """What the boot does, in this order; each may be the last one before a kill."""

    RECOVER = "recover"  # bring home what an earlier run left
    SPACES = "spaces"  # make the probe namespaces
    MOVE = "move"  # NICs into them
    RAISE = "raise"  # all up, at once
    PROBE = "probe"  # DHCP and router advertisements
    STORE = "store"  # the lease, for the keeper
    HOME = "home"  # the chosen NIC comes home
    BRIDGE = "bridge"  # zos is made or adopted
    PORT = "port"  # the NIC becomes its port
    ADDRESS = "address"  # the lease goes onto zos
    STANDBY = "standby"  # the others stay in their namespaces, without address
    UNIT = "unit"  # the lease keeper is registered and started
    DONE = "done"


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """One NIC and what its last probe found."""

    name: str
    mac: str = ""
    carrier: bool = False
    # The best address class, None when it is not usable.
    address_class: str | None = msgspec.field(default=None, name="class")
    ipv4: str | None = None
    router4: str | None = None
    ipv6: tuple[str, ...] = ()
    router6: str | None = None
    quiet4: str = ""
    quiet6: str = ""
    barred: str = ""
    static: tuple[str, ...] = ()
    reason: str = ""


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    nic: str
    mac: str = ""
    address_class: str | None = msgspec.field(default=None, name="class")
    reason: str = ""


class BootStatus(msgspec.Struct, frozen=True, kw_only=True):
    step: Step
    pid: int
    round: int = 0
    resting_until: float | None = None  # no NIC is usable; the next round begins then
    nics: tuple[Nic, ...] = ()  # best first
    uplink: Uplink | None = None
    checks: dict[str, str] = {}  # target: "ok" or why not
    seconds: dict[str, float] = {}  # when each step began
    error: str = ""  # why the last run ended without an uplink
    hint: str = ""  # what a person can do about that
    # A run came to its end and nothing took zos apart since: the uplink is networkd's to look after.
    stands: bool = False
    # The NIC that the boot chose, while another one carries the node.
    home: str = ""
    trouble: str = ""  # why the uplink is held to be dead


class _Instant(msgspec.Struct, frozen=True):
    started: float


def boot_instant(now: float, path: Path = INSTANT) -> float:
    """When zosnet first started after this power-on; that is `now` when it has not before."""
    try:
        known = files.load(path, _Instant)
    except files.DamagedFileError:
        known = None
    if known is not None and known.started <= now:
        return known.started
    files.store(path, _Instant(now), mode=0o644, durable=False)
    return now


def boot_instant_or(default: float, path: Path = INSTANT) -> float:
    """The boot instant if zosnet has started, without making it one."""
    try:
        known = files.load(path, _Instant)
    except files.DamagedFileError:
        known = None
    return known.started if known is not None else default


def load(path: Path = PATH) -> BootStatus | None:
    """The status of the last or the running boot; None when there is none that can be read."""
    try:
        return files.load(path, BootStatus)
    except files.DamagedFileError:
        return None


def tell_error(error: CannotError) -> None:
    """What kept `internet` from running, where `zosnet-agent status` looks; all else stays."""
    last = load() or BootStatus(step=Step.RECOVER, pid=os.getpid())
    boot_instant(boottime())
    store(msgspec.structs.replace(last, error=error.message, hint=error.hint or ""))


def store(status: BootStatus, path: Path = PATH) -> None:
    files.store(path, status, mode=0o644, durable=False)
