"""Who is connected, and who is silent."""

from controller.front.sessions import DEAD_AFTER, PING_AFTER, Sessions


def test_only_silent_sessions_are_pinged_once_and_end_later() -> None:
    sessions = Sessions()
    quiet = sessions.begin(b"quiet", b"r1", 1, "", 0.0)
    sessions.begin(b"lively", b"r2", 2, "", 0.0)
    sessions.hear(b"lively", b"r2", PING_AFTER)
    silent = list(sessions.silent(PING_AFTER))
    quiet.pinged = True

    assert silent == [quiet]
    assert list(sessions.silent(PING_AFTER + 1)) == []
    assert sessions.dead(DEAD_AFTER - 0.1) == []
    assert sessions.dead(DEAD_AFTER) == [quiet]


def test_an_answer_to_the_ping_keeps_the_session() -> None:
    sessions = Sessions()
    session = sessions.begin(b"n", b"r1", 1, "", 0.0)
    session.pinged = True
    sessions.hear(b"n", b"r1", 15.0)

    assert sessions.dead(DEAD_AFTER) == []
    assert list(sessions.silent(15.0 + PING_AFTER)) == [session]


def test_the_newest_connection_is_the_session() -> None:
    sessions = Sessions()
    old = sessions.begin(b"n", b"old", 1, "", 0.0)
    sessions.watch(old, 1, 5)
    new = sessions.begin(b"n", b"new", 1, "", 1.0)

    assert sessions.hear(b"n", b"old", 2.0) is None
    assert sessions.hear(b"n", b"new", 2.0) is new
    assert sessions.watchers(1) == []
    assert len(sessions) == 1


def test_what_ended_is_watched_no_more() -> None:
    sessions = Sessions()
    session = sessions.begin(b"n", b"r", 1, "", 0.0)
    sessions.watch(session, 1, 5)
    assert sessions.watchers(1) == [session]
    assert sessions.watched() == [1]
    sessions.end(b"n")

    assert sessions.watchers(1) == []
    assert sessions.watched() == []


def test_an_acknowledgement_never_leaves_the_sent_mark_behind() -> None:
    sessions = Sessions()
    session = sessions.begin(b"n", b"r", 1, "", 0.0)
    watch = sessions.watch(session, 1, 5)
    watch.sent = 9

    assert sessions.watch(session, 1, 7).sent == 9
    assert sessions.watch(session, 1, 12).sent == 12
