"""A control group apart, for what outlives us: whoever kills ours does not mean it (cgroups(7), version 2).

procs = apart()                # its cgroup.procs, or None: there is nothing to be apart from
with procs.open("w") as file: file.write("0")        # whoever writes is moved there
forget()                       # once nobody is in it
"""

from contextlib import suppress
from pathlib import Path

NAME = "zosnet"  # at the top, beside the groups of service managers


def apart() -> Path | None:
    """None when nobody can kill our group, or we may not make another one."""
    top = _top()
    if top is None or _own() in (None, "/"):
        return None
    try:
        (top / NAME).mkdir(exist_ok=True, mode=0o755)
    except OSError:
        return None
    return top / NAME / "cgroup.procs"


def forget() -> None:
    """The kernel keeps a group that somebody is in."""
    top = _top()
    if top is not None:
        with suppress(OSError):
            (top / NAME).rmdir()


def _own() -> str | None:
    """The group that we are in."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), None)


def _top() -> Path | None:
    """Where all groups are mounted, and no other mount lies over it: proc(5) says what a line is."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        root, place = mount.split()[3:5]
        top = Path(place.encode().decode("unicode_escape"))
        if rest.startswith("cgroup2 ") and root == "/" and (top / "cgroup.procs").exists():
            return top
    return None
