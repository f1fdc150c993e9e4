"""Raise a link, and print after how many seconds the kernel has IPv6 on it.

    python -m bench.node.slaac LINK     where nobody but the kernel listens to routers

IPv6: a global address that is not tentative any more, and a default route.
"""

import subprocess
import sys
import time
from pathlib import Path

ADDRESSES, ROUTES = Path("/proc/net/if_inet6"), Path("/proc/net/ipv6_route")
GLOBAL, TENTATIVE = 0x00, 0x40
LOOK, PATIENCE = 0.005, 30.0  # seconds


def main(link: str) -> int:
    Path(f"/proc/sys/net/ipv6/conf/{link}/accept_ra").write_text("2")
    subprocess.run(["ip", "link", "set", link, "up"], check=True)
    begun = time.monotonic()
    while not is_there(link):
        if time.monotonic() > begun + PATIENCE:
            print(f"error: no IPv6 on {link} after {PATIENCE:g} s", file=sys.stderr)
            return 1
        time.sleep(LOOK)
    print(time.monotonic() - begun)
    return 0


def is_there(link: str) -> bool:
    addresses = [line.split() for line in ADDRESSES.read_text().splitlines()]
    routes = [line.split() for line in ROUTES.read_text().splitlines()]
    return any(
        name == link and int(scope, 16) == GLOBAL and not int(flags, 16) & TENTATIVE
        for _, _, _, scope, flags, name in addresses
    ) and any(route[1] == "00" and route[9] == link for route in routes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
