"""Who came and went: a ring of the last events."""

from controller.front.events import Events
from controller.front.sessions import DEAD_AFTER, Sessions


def what(sessions: Sessions) -> list[str]:
    return [event.what for event in sessions.events.after(0, 99)]


def test_events_come_once_each_and_in_order() -> None:
    events = Events(kept=3)
    for n in range(5):
        events.note("connected", n, "", float(n))

    assert [e.node for e in events.after(0, 9)] == [2, 3, 4]  # the first two are gone
    assert [e.node for e in events.after(3, 9)] == [3, 4]
    assert [e.node for e in events.after(2, 1)] == [2]
    assert events.after(5, 9) == []
    assert events.after(77, 9) == []
    assert events.count == 5


def test_a_moment_has_its_place_among_them() -> None:
    events = Events(kept=3)
    for n in range(5):
        events.note("connected", n, "", float(n))

    assert [events.since(moment) for moment in (9.0, 3.0, 2.5, 0.0)] == [5, 3, 3, 2]
    assert Events().since(1.0) == 0


def test_a_node_connects_reconnects_and_disconnects() -> None:
    sessions = Sessions()
    sessions.begin(b"n", b"r1", 7, "198.51.100.7", 0.0)
    sessions.begin(b"n", b"r1", 7, "198.51.100.7", 1.0)  # hello again on the same connection
    sessions.begin(b"n", b"r2", 7, "198.51.100.8", 2.0)
    for session in sessions.dead(2.0 + DEAD_AFTER):
        sessions.end(session.key)
    sessions.end(b"n")

    assert what(sessions) == ["connected", "reconnected", "disconnected"]
    last = sessions.events.after(2, 9)[0]
    assert (last.node, last.at, last.detail) == (7, 22.0, "silent for 20 s")


def test_who_is_ended_while_he_speaks_was_not_silent() -> None:
    sessions = Sessions()
    sessions.begin(b"n", b"r1", 7, "", 0.0)
    sessions.hear(b"n", b"r1", 3.0)
    sessions.end(b"n")

    assert [(e.at, e.detail) for e in sessions.events.after(1, 9)] == [(3.0, "")]
