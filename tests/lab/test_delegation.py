"""A site that delegates a prefix: the node asks for it, keeps it over restarts, and gives it back."""

import time
from collections.abc import Iterator

import pytest

from lab.host import wait_until
from lab.world import World
from tests.lab.delegating import FIRST, SECOND, advertise, delegate, held, serve
from tests.lab.home import Home, make_home
from tests.lab.resources import kill, start

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]


@pytest.fixture
def home() -> Iterator[Home]:
    with World() as world:
        yield make_home(world, quiet=True)


def delegated(home: Home, prefix: str = FIRST) -> None:
    wait_until("the prefix", lambda: home.status().delegated == prefix, timeout=60)


def why(home: Home) -> str:
    return home.node.output("zosnet-agent", "why", "ndmz")


def routes(home: Home) -> str:
    return home.in_ndmz("ip", "-6", "route")


def log(home: Home) -> str:
    return home.router.log("dhcpd6").read_text()


def test_a_prefix_is_asked_for_where_a_router_says_that_there_is_a_server(home: Home) -> None:
    delegate(home, FIRST)
    advertise(home, told=False)
    start(home)
    time.sleep(3)
    unasked = log(home).count("Solicit message"), home.status().delegation
    advertise(home)
    delegated(home)
    wait_until("the rest of it", lambda: f"unreachable {FIRST}" in routes(home), timeout=20)

    assert unasked == (0, "")
    assert held(home.router) == [FIRST]
    assert f"{FIRST} for 3600 s (bound)" in why(home)
    assert FIRST in home.node.output("zosnet-agent", "status")


def test_where_the_config_says_never_nobody_is_asked(home: Home) -> None:
    home.node.write("/etc/zosnet/agent.yaml", "ndmz: {delegation: never}")
    delegate(home, FIRST)
    advertise(home)
    start(home)
    time.sleep(3)

    assert "Solicit message" not in log(home)
    assert home.status().delegated == ""


def test_where_the_config_says_always_no_router_need_say_so(home: Home) -> None:
    home.node.write("/etc/zosnet/agent.yaml", "ndmz: {delegation: always}")
    delegate(home, FIRST)
    advertise(home, told=False)
    start(home)
    delegated(home)


@pytest.mark.parametrize("prefix", ["2001:db8:b:1::/64", "fd12:3456:789a::/48", "2001:db8::/31"])
def test_what_nobody_may_delegate_is_refused_with_a_reason(home: Home, prefix: str) -> None:
    delegate(home, prefix)
    advertise(home)
    start(home)
    wait_until("the refusal", lambda: f"offers {prefix}" in why(home), timeout=60)

    assert home.status().delegated == ""
    assert prefix not in routes(home).replace(f"{prefix} dev npub6", "")


def test_a_restart_keeps_it_and_asks_about_it_beside(home: Home) -> None:
    server = delegate(home, FIRST)
    advertise(home)
    start(home)
    delegated(home)
    server.kill()
    server.wait(5)
    kill(home)
    start(home)  # it is in use before anybody could answer
    wait_until("what it had", lambda: home.status().delegated == FIRST)
    wait_until("the rest of it", lambda: f"unreachable {FIRST}" in routes(home))
    unanswered = "Rebind message" not in log(home)
    serve(home.router)
    wait_until("the answer", lambda: "Rebind message" in log(home), timeout=60)

    assert unanswered
    assert home.status().delegated == FIRST


def test_a_site_that_is_renumbered_takes_the_old_one_away(home: Home) -> None:
    server = delegate(home, FIRST, renew=10, rebind=20, preferred=40, valid=60)
    advertise(home)
    start(home)
    delegated(home)
    server.kill()
    server.wait(5)
    delegate(home, SECOND)
    delegated(home, SECOND)
    wait_until("the old one's end", lambda: f"unreachable {FIRST}" not in routes(home), timeout=20)

    assert f"unreachable {SECOND}" in routes(home)


def test_a_reset_gives_it_back(home: Home) -> None:
    delegate(home, FIRST)
    advertise(home)
    process = start(home)
    delegated(home)
    process.terminate()
    process.wait(10)
    kept = held(home.router)
    said = home.node.output("zosnet-agent", "reset", "--yes")
    wait_until("the end", lambda: held(home.router) == [], timeout=10)

    assert kept == [FIRST]
    assert f"prefix {FIRST} given back" in said
