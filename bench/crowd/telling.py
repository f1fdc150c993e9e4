"""Many connected members of one network: how soon they hear of a change, what they cost, how they list.

the last of n hears    from an operator's call to rename a member until the last of n connected
                       members has that row: wall time, median of several; every frame is checked
                       to hold rows only, no snapshot
RSS                    of the controller, over rounds in which each of n connected members refreshes,
                       once libzmq has touched all memory of its queues: two blocks of 256 messages
                       a connection and direction, which a bare ROUTER fills as well
first page             of the list of members, from the call at the admin socket to its answer
"""

import statistics
import time
from collections.abc import Sequence

from bench.crowd.enrolling import enrol
from bench.crowd.members import Crowd, Member, make_members, number
from bench.crowd.refreshing import current
from bench.crowd.served import Controller, serving
from protocol.admin import PAGE
from protocol.messages import Ack, Ping, Pong, Rows, Unchanged, Welcome, decode_reply, encode

CHANGES = 9
PAGES = 9
ROWS = b"\xa4rows"  # how a frame of rows begins, behind the length of the array
QUEUES = 512  # messages that a connection's queue has places for
AT_A_TIME = 16  # of these, on one connection: less to do for the same
WARM_UP = 3  # rounds after which all else has the memory that it needs


def last_hears(members_in_network: int) -> float:
    """Milliseconds."""
    with serving() as controller:
        members = make_members([controller.network("home")], members_in_network)
        enrol(controller, members)
        with Crowd(controller.endpoint, controller.curve) as crowd:
            watch_all(crowd, members)
            times = [one_change(controller, crowd, members, turn) for turn in range(CHANGES)]
    return statistics.median(times)


def one_change(controller: Controller, crowd: Crowd, members: Sequence[Member], turn: int) -> float:
    changed = members[turn]
    begun = time.perf_counter()
    controller.ask("member.set", network="home", member=changed.name, name=f"renamed{turn}")
    heard: list[tuple[bytes, bytes]] = []
    while len(heard) < len(members):
        label, frame = crowd.receive()
        if frame[1:6] == ROWS:  # the member itself is also sent its certificate
            heard.append((label, frame))
    taken = (time.perf_counter() - begun) * 1000
    for label, frame in heard:
        rows = decode_reply(frame)
        if (
            not isinstance(rows, Rows)
            or rows.full
            or [r.name for r in rows.rows] != [f"renamed{turn}"]
        ):
            raise AssertionError(f"one changed row was expected: {rows}")
        crowd.send(label, encode(Ack(changed.network, rows.revision)))
    time.sleep(0.3)  # what is acknowledged has arrived
    return taken


def rss_growth(members_in_network: int, rounds: int) -> float:
    """Percent, from the end of the first rounds to the end."""
    with serving() as controller:
        members = make_members([controller.network("home")], members_in_network)
        enrol(controller, members)
        with Crowd(controller.endpoint, controller.curve) as crowd:
            holding = watch_all(crowd, members)
            for _ in range(QUEUES // AT_A_TIME):
                each = (member.label for member in members for _ in range(AT_A_TIME))
                crowd.ask(Pong, [(label, encode(Ping(number()))) for label in each])
            for _ in range(WARM_UP):
                crowd.ask(Unchanged, holding)
            first = controller.process.rss_kib()
            for _ in range(rounds):
                crowd.ask(Unchanged, holding)
            return 100 * (controller.process.rss_kib() / first - 1)


def first_page(members_in_network: int) -> float:
    """Milliseconds."""
    with serving() as controller:
        members = make_members([controller.network("home")], members_in_network)
        enrol(controller, members)
        times = []
        for _ in range(PAGES):
            begun = time.perf_counter()
            page = controller.ask("member.list", network="home")
            times.append((time.perf_counter() - begun) * 1000)
            if len(page) != min(PAGE, members_in_network):
                raise AssertionError(f"a page of {len(page)}")
    return statistics.median(times)


def watch_all(crowd: Crowd, members: Sequence[Member]) -> list[tuple[bytes, bytes]]:
    """Connected, announced, and holding all that there is; the refresh that says so."""
    crowd.connect((member.label, member.secret) for member in members)
    crowd.ask(Welcome, [(member.label, member.hello()) for member in members])
    holding = current(crowd, members)
    crowd.ask(Unchanged, holding)
    return holding
