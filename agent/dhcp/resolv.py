"""The lease's name servers in a resolv.conf.

A symlink there belongs to a resolver program: it is left alone.
"""

import errno
import logging
from pathlib import Path

from agent.dhcp.lease import Lease
from netns.spaces import HOST
from runtime import files

log = logging.getLogger(__name__)
HEADER = "# Written by zosnet from the DHCP lease of"


def resolv_conf_path(space: str) -> Path:
    """Where programs in `space` find their servers; `ip netns exec` mounts the latter."""
    return Path("/etc/resolv.conf") if space == HOST else Path("/etc/netns") / space / "resolv.conf"


def render_resolv_conf(lease: Lease, link: str) -> str:
    lines = [f"{HEADER} {link}."]
    if lease.domain:
        lines.append(f"search {lease.domain}")
    lines += [f"nameserver {server}" for server in lease.dns]
    return "\n".join(lines) + "\n"


def write_resolv_conf(path: Path, lease: Lease, link: str) -> bool:
    """Put the lease's servers there; False when there is nothing to do. Raises OSError."""
    if not lease.dns or path.is_symlink():
        return False
    data = render_resolv_conf(lease, link).encode()
    if path.exists() and path.read_bytes() == data:
        return False
    try:
        files.write_atomic(path, data, mode=0o644, durable=False)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(data)  # something is mounted on the file: it cannot be replaced
    return True
