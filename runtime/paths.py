"""Where zosnet keeps what on a node and on a controller's host.

A lab node sees its own directories here, because it has its own mounts; nothing is configurable
that would only be configured by tests.
"""

from pathlib import Path

CONFIG = Path("/etc/zosnet")  # what people write
STATE = Path("/var/lib/zosnet")  # what must survive a reboot: keys, leases, the netmap
RUN = Path("/run/zosnet")  # what must not: status files, marks, pidfiles


def ensure_directory(path: Path, *, mode: int = 0o700) -> Path:
    """Make `path` and its parents; an existing directory keeps its mode."""
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    return path
