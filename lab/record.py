"""What is known of a farm that lives on in the background: /run/zosnet-lab/NAME.json.

    keep(farm)                       # written by `up` and `demo --keep`
    record = find("farm")            # a living one; NotThereError otherwise
    end(record)

A pid alone is no name for a process, so each is kept with its start time and looked at before use.
"""

import os
import select
import signal
from pathlib import Path

import msgspec

from lab.farm import Farm
from runtime import files
from runtime.failure import CannotError, Exit

DIRECTORY = Path("/run/zosnet-lab")


class NotThereError(CannotError):
    """There is no such farm, or no such machine in it."""


class Machine(msgspec.Struct, frozen=True):
    """A world or a node: its first process."""

    pid: int
    started: int  # clock ticks since this machine's boot

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    def lives(self) -> bool:
        return self.started == start_time(self.pid)


class Record(msgspec.Struct, frozen=True):
    name: str
    world: Machine
    machines: dict[str, Machine]
    layouts: dict[str, str]  # of those that are nodes


def start_time(pid: int) -> int | None:
    """When process `pid` began, None when there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(line.rpartition(")")[2].split()[19])


def refuse_second(name: str) -> None:
    """Raises CannotError when a farm called `name` is up already."""
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise CannotError(
            f"cannot make farm {name!r}: a name has letters, digits, - and _", code=Exit.USAGE
        )
    record = load(name)
    if record is not None:
        raise CannotError(
            f"cannot make farm {name}: it is up already",
            hint=f"zosnet-lab down --name {name}, or choose another --name",
            code=Exit.CONFLICT,
        )


def keep(farm: Farm) -> Record:
    """Let the farm's world live on after us, and write down how to find it."""
    record = Record(
        name=farm.world.name,
        world=machine(farm.world.pid),
        machines={name: machine(node.pid) for name, node in farm.machines.items()},
        layouts={node.name: node.layout for node in farm.plan.nodes},
    )
    files.store(_path(record.name), record, mode=0o644, durable=False)
    farm.world.release()
    return record


def machine(pid: int) -> Machine:
    return Machine(pid, start_time(pid) or 0)


def load(name: str) -> Record | None:
    """The farm called `name` when it lives; what a dead one left behind is removed."""
    record = files.load(_path(name), Record)
    if record is not None and not record.world.lives():
        _path(name).unlink(missing_ok=True)
        return None
    return record


def names() -> list[str]:
    return sorted(path.stem for path in DIRECTORY.glob("[!.]*.json"))


def find(name: str) -> Record:
    record = load(name)
    if record is None:
        others = [other for other in names() if load(other)]
        hint = f"farms that are up: {', '.join(others)}" if others else "start one: zosnet-lab up"
        raise NotThereError(
            f"cannot find farm {name}: it is not up", hint=hint, code=Exit.NOT_FOUND
        )
    return record


def find_machine(record: Record, name: str) -> Machine:
    found = record.machines.get(name)
    if found is None:
        raise NotThereError(
            f"cannot find machine {name}: farm {record.name} has none",
            hint=f"it has {', '.join(record.machines)}",
            code=Exit.NOT_FOUND,
        )
    if not found.lives():
        raise NotThereError(f"cannot use machine {name}: its power is off", code=Exit.NOT_FOUND)
    return found


def end(record: Record, timeout: float = 20) -> None:
    """Kill the world's first process and wait until everything in the world is gone with it."""
    try:
        watch = os.pidfd_open(record.world.pid)
    except ProcessLookupError:
        watch = None
    if watch is not None:
        try:
            if record.world.lives():  # looked at after it was opened: it cannot change any more
                signal.pidfd_send_signal(watch, signal.SIGKILL)
                _await_end(record, watch, timeout)
        finally:
            os.close(watch)
    _path(record.name).unlink(missing_ok=True)


def _await_end(record: Record, watch: int, timeout: float) -> None:
    if not select.select([watch], [], [], timeout)[0]:
        raise CannotError(
            f"cannot end farm {record.name}: process {record.world.pid} is there after {timeout} s"
        )


def _path(name: str) -> Path:
    return DIRECTORY / f"{name}.json"
