"""A hostile router beside the honest one: what it advertises takes no IPv6 away for good.

A flood of advertisements disturbs ICMPv6 of the whole machine, so it lasts two seconds and no longer.
"""

from collections.abc import Iterator

import pytest

from agent.ndmz.policy import MAX_GATEWAYS
from lab.host import wait_until
from lab.internet import WEB4, WEB6
from lab.world import World
from tests.lab import frames
from tests.lab.home import PROGRAMS, SYSTEM_PYTHON, Home, all_kinds, make_home
from tests.lab.test_ndmz_changes import PREFIX, advertise, running

pytestmark = pytest.mark.lab

MAC, OWN = "02:66:66:66:66:66", "fe80::66"
HONEST = "fe80::1"
MARKER = "2001:db8:f:1::/64"  # it is there when the frame was heard
ADDRESSES = 16  # of an interface, by the kernel's max_addresses


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with World() as world:
        yield make_home(world, quiet=True)


@pytest.fixture
def ready(home: Home) -> Iterator[Home]:
    """Ndmz with IPv6 by the honest router."""
    with running(home, "", "n-one"):
        advertise(home, lifetime=600, prefix=PREFIX)
        wait_until("IPv6", lambda: home.status().ready6)
        wait_until("the workload's Internet", lambda: works(home))
        yield home


def trap(home: Home, *frames_: bytes) -> None:
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"))
    home.neighbour.run(*program, "eth0", *(frame.hex() for frame in frames_))


def flood(home: Home, *frames_: bytes) -> None:
    program = (SYSTEM_PYTHON, "-I", "-S", str(PROGRAMS / "send_frames.py"))
    lines = "".join(f"{frame.hex()}\n" for frame in frames_)
    home.neighbour.run(*program, "eth0", "--for", "2", input=lines)


def works(home: Home) -> bool:
    both = (str(WEB4), str(WEB6))
    return home.reach("n-one", *both) == all_kinds(*both)


def on_link(home: Home) -> list[str]:
    """What npub6 takes for its neighbours."""
    shown = home.in_ndmz("ip", "-6", "route", "show", "dev", "npub6", "proto", "kernel")
    return [line.split()[0] for line in shown.splitlines()]


def inside(home: Home) -> str:
    """The workloads' own network."""
    (address,) = (a for a in home.addresses_of("n-one") if a.startswith("fd"))
    return f"{':'.join(address.split(':')[:3])}::/64"


@pytest.mark.parametrize("prefix", ["::/0", "2000::/3", "2001:db8::/32", "inside"])
def test_a_prefix_that_is_no_lan_is_undone_and_workloads_go_on(ready: Home, prefix: str) -> None:
    prefix = inside(ready) if prefix == "inside" else prefix
    trap(ready, frames.router_advert(MAC, OWN, lifetime=0, prefixes=(prefix, MARKER)))
    wait_until("the frame", lambda: MARKER in on_link(ready))
    rest = {MARKER, f"{PREFIX}/64", "fe80::/64"}
    wait_until("the undoing", lambda: set(on_link(ready)) == rest)
    wait_until("the workload's Internet", lambda: works(ready))

    assert prefix not in ready.in_ndmz("ip", "-6", "addr", "show", "dev", "npub6")


def test_an_mtu_that_ipv6_does_not_know_is_not_taken(ready: Home) -> None:
    trap(ready, frames.router_advert(MAC, OWN, lifetime=0, mtu=68, prefixes=(MARKER,)))
    wait_until("the frame", lambda: MARKER in on_link(ready))

    assert ready.in_ndmz("cat", "/proc/sys/net/ipv6/conf/npub6/mtu").strip() == "1500"
    assert works(ready)


def test_an_end_told_in_the_honest_router_s_name_lasts_until_that_is_heard(ready: Home) -> None:
    trap(ready, frames.router_advert(MAC, HONEST, lifetime=0))
    wait_until("the end", lambda: not ready.status().ready6)
    only4 = ready.reach("n-one", str(WEB4))
    advertise(ready, lifetime=600, prefix=PREFIX)
    wait_until("IPv6 again", lambda: ready.status().ready6)

    assert only4 == all_kinds(str(WEB4))
    assert works(ready)


def test_a_flood_of_routers_and_prefixes_is_bounded_and_ends_with_itself(ready: Home) -> None:
    """A hundred routers and 200 prefixes, ::/0 among them, a thousand frames a second for two seconds.

    While its prefixes live the kernel may take them for its source: which is whose, it does not know.
    """
    blocks = [[f"2001:db8:f:{40 * block + i:x}::/64" for i in range(40)] for block in range(5)]
    routers = [
        frames.router_advert(
            MAC, f"fe80::66:{n:x}", lifetime=1, prefixes=tuple(blocks[n % 5]), life=10
        )
        for n in range(100)
    ]
    flood(ready, *routers, frames.router_advert(MAC, OWN, lifetime=0, prefixes=("::/0",)))
    shown = ready.in_ndmz("ip", "-o", "-6", "addr", "show", "dev", "npub6", "scope", "global")
    only4 = ready.reach("n-one", str(WEB4))
    wait_until("the end of ::/0", lambda: "default" not in on_link(ready), timeout=20)
    wait_until("the workload's Internet", lambda: works(ready), timeout=40)

    assert PREFIX.removesuffix(":") in shown  # the honest address stays
    assert 1 < len(shown.splitlines()) <= ADDRESSES
    assert only4 == all_kinds(str(WEB4))
    assert len(ready.status().gateways) <= MAX_GATEWAYS
