"""Flows of the workload n-one of a `Home`: opened, gone on with, and counted."""

from itertools import count

from lab.internet import WEB4, WEB6
from tests.lab import frames
from tests.lab.home import PROGRAMS, SYSTEM_PYTHON, Home
from tests.lab.test_isolation import frame_ends

RECOUNT = "flush set inet zosnet_ndmz flows4\nflush set inet zosnet_ndmz flows6\n"
FRESH = count(60000, 8)  # source ports: a flow that is known keeps the port that it was given


def tracked(home: Home) -> int:
    return int(home.in_ndmz("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


def keep_flows(home: Home) -> None:
    """Else those of an earlier test end while later ones are counted: after 30 s."""
    home.in_ndmz("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600")


def open_flows(home: Home, address: object, count: int) -> None:
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "flows.py"), str(address), str(count))
    home.node.run(*home.node.inside("n-one", *program), timeout=120)


def send_flow(home: Home, version: int, sport: int, datagrams: int = 1) -> None:
    """From n-one to the Internet; what was sent has arrived, if it was let through."""
    gateway, mac, _ = frame_ends(home)
    own = home.addresses_of("n-one")[0 if version == 4 else 1]
    make, web = (frames.udp4, WEB4) if version == 4 else (frames.udp6, WEB6)
    frame = make(gateway, mac, own, str(web), sport=sport)
    send_from(home, "n-one", "public", *[frame] * datagrams)
    home.reach("n-one", str(WEB4), str(WEB6))


def send_from(home: Home, namespace: str, link: str, *sent: bytes) -> None:
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"), link)
    home.node.run(*home.node.inside(namespace, *program, *(frame.hex() for frame in sent)))
