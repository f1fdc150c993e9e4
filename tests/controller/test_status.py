"""`ncadm status`: what it counts, and D6: a session that went silent is seen, with its age."""

from pathlib import Path

from controller.admin.status import facts
from controller.front.sessions import DEAD_AFTER, PING_AFTER
from controller.verbs.tally import SHARE
from protocol.messages import Ping
from tests.controller.farm import running
from tests.controller.house import House


def test_status_counts(house: House) -> None:
    home = house.network(ipv4="10.9.0.0/29")
    for name in ("n1", "n2", "n3"):
        house.enrol(home, name=name)
    house.do("member.ban", network="home", member="n3")
    house.token("home")
    status = house.do("status")[0]

    assert (status["networks"], status["members"], status["joined"]) == (1, 3, 2)
    assert status["states"] == {"authorized": 2, "banned": 1, "deauthorized": 0, "pending": 0}
    assert status["controller"] == house.registry.controller
    assert status["requests"]["join"] == 3
    assert status["tokens_live"] == 1
    assert (status["busy"], status["waiting"], status["strangers"]) == (0, 0, 0)
    assert status["last_audit"]["action"] == "token.create"
    assert status["fullest_pool"] == {
        "network": "home",
        "pool": "10.9.0.0/29",
        "used": 3,
        "size": "5",
        "percent": 60.0,
    }
    assert status["database_mib"] > 0


def test_a_silent_session_is_stale_with_its_age_and_then_ended(house: House) -> None:
    """D6: on the controller's side; the node's is in tests/agent/enrol."""
    home = house.network()
    house.enrol(home, name="n1")
    n2 = house.enrol(home, name="n2")
    house.later(PING_AFTER + 2)
    house.ask(n2, Ping(house.number()))
    status = house.do("status")[0]

    assert (status["online"], status["stale"], status["longest_silence_s"]) == (2, 1, 12.0)
    assert "2 online, 1 of them silent, up to 12s" in dict(facts(status))["sessions"]
    house.later(DEAD_AFTER - PING_AFTER - 2)
    for session in house.sessions.dead(house.now):
        house.sessions.end(session.key)
    status = house.do("status")[0]
    assert (status["online"], status["stale"], status["longest_silence_s"]) == (1, 0, 8.0)
    assert [e.what for e in house.sessions.events.after(0, 9)][-1] == "disconnected"


def test_counting_a_million_rows_takes_no_more_than_its_share_of_the_time(house: House) -> None:
    house.network()
    tally, connection = house.office.tally, house.registry.connection
    first = tally.counts(connection, house.now)
    house.enrol(house.registry.network_id(1))
    soon = tally.counts(connection, house.now + 0.9 * SHARE * first.took)
    late = tally.counts(connection, house.now + 1.1 * SHARE * first.took)
    connection.rollback()

    assert soon is first
    assert (first.states["authorized"], late.states["authorized"]) == (0, 1)


def test_an_empty_controller_has_a_status_too(house: House) -> None:
    status = house.do("status")[0]
    said = dict(facts(status))

    assert (status["last_audit"], status["fullest_pool"]) == (None, None)
    assert (said["members"], said["pools"], said["audit"]) == ("0; 0 joined", "0", "empty")


def test_a_running_controller_says_how_it_is(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        home = one.network()
        one.node(home).enrol(home)
        shown = one.ncadm("status")
        status = one.ask("status")[0]

    said = dict(line.split(None, 1) for line in shown.stdout.splitlines())
    assert (shown.returncode, shown.stderr) == (0, "")
    assert said["controller"].startswith(f"{status['controller']}, version 0.1.0, up ")
    assert said["sessions"] == "1 online"
    assert said["members"] == "1: 1 authorized; 1 joined"
    assert status["pid"] == one.pid
    assert 0 < status["cpu_s"] <= status["uptime_s"] + 1
    assert 10 < status["rss_mib"] < 500
