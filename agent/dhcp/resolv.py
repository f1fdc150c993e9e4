"""The name servers of a lease, or of agent.yaml, in a resolv.conf.

A symlink there belongs to a resolver program: it is left alone.
"""

import errno
import logging
from collections.abc import Iterable
from pathlib import Path

from agent.dhcp.lease import Lease
from netns.spaces import HOST
from netns.values import IPAddress
from runtime import files

log = logging.getLogger(__name__)
HEADER = "# Written by zosnet from"


def resolv_conf_path(space: str) -> Path:
    """Where programs in `space` find their servers; `ip netns exec` mounts the latter."""
    return Path("/etc/resolv.conf") if space == HOST else Path("/etc/netns") / space / "resolv.conf"


def render_resolv_conf(servers: Iterable[IPAddress], source: str, domain: str | None = None) -> str:
    lines = [f"{HEADER} {source}."]
    if domain:
        lines.append(f"search {domain}")
    lines += [f"nameserver {server}" for server in servers]
    return "\n".join(lines) + "\n"


def write_resolv_conf(path: Path, lease: Lease, link: str) -> bool:
    """Put the lease's servers there; False when there is nothing to do. Raises OSError."""
    return write_servers(path, lease.dns, f"the DHCP lease of {link}", lease.domain)


def write_servers(
    path: Path, servers: Iterable[IPAddress], source: str, domain: str | None = None
) -> bool:
    """The same for servers from anywhere; `source` stands in the first line."""
    servers = tuple(servers)
    if not servers or path.is_symlink():
        return False
    data = render_resolv_conf(servers, source, domain).encode()
    if path.exists() and path.read_bytes() == data:
        return False
    try:
        files.write_atomic(path, data, mode=0o644, durable=False)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(data)  # something is mounted on the file: it cannot be replaced
    return True
