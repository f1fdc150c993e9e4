"""S10, on the controller: hostile frames on nodes', tokens' and the admin's connections."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.front.desk import WAITING_MAX
from controller.verbs.dispatch import VERBS, answer
from protocol.admin import Call, Failed, Result, decode_answer, encode_admin
from protocol.admin import changes as changes_something
from protocol.messages import (
    Code,
    FetchRows,
    Join,
    Joined,
    Ping,
    Refused,
    Unchanged,
    encode,
)
from runtime.failure import Exit
from tests.controller.farm import rss_mib, running
from tests.controller.house import Frame, House
from tests.controller.node import Node, SilenceError
from tests.protocol import documented
from tests.protocol.edits import Edits, edited, edits

REQUESTS = [
    one
    for one in documented.MESSAGES
    if type(one).__name__
    in {"Admit", "Hello", "Join", "Refresh", "Leave", "FetchRows", "Mint", "Ack", "AckKeys"}
    or isinstance(one, Ping)
]


class Full:
    """A controller with members of each kind, and what may be said by whom."""

    def __init__(self, directory: Path) -> None:
        self.house = House(directory)
        self.network = self.house.network()
        self.member = self.house.enrol(self.network, name="member")
        out = self.house.enrol(self.network, name="out")
        self.house.do("member.deauthorize", network="home", member="out")
        token = self.house.token("home", uses=3)
        stranger = self.house.guest("stranger")
        self.users = [
            f"n:{self.member.key.hex()}",
            f"n:{out.key.hex()}",
            f"n:{stranger.key.hex()}",
            f"t:{token.hex()}",
            f"t:{bytes(32).hex()}",
            "",
            "x:nothing",
        ]

    def frames(self) -> list[bytes]:
        network = documented.NETWORK.encode()
        return [encode(one).replace(network, self.network.encode()) for one in REQUESTS]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = Full(tmp_path_factory.mktemp("fuzz"))
    yield one
    one.house.close()


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, len(REQUESTS) - 1), edits | st.just([])),
        min_size=1,
        max_size=12,
    )
)
def test_hostile_frames_are_refused_and_break_nothing(
    full: Full, sent: list[tuple[int, int, Edits]]
) -> None:
    """S10"""
    house, frames = full.house, full.frames()
    before = len(house.sent)
    house.later(30.0)
    for user, which, changes in sent:
        frame = Frame(edited(frames[which], changes), full.users[user])
        at_once = house.desk.take(b"route%d" % user, frame, house.now)
        if at_once is not None:
            house._send(b"route%d" % user, at_once)
    house.work()
    answers = [reply for _, reply in house.sent[before:]]  # decoded as a node does it
    del house.sent[before:]

    broken = [r for r in answers if isinstance(r, Refused) and r.code == Code.INTERNAL]
    assert broken == []
    assert house.desk.waiting == 0
    house.check_addresses()


def test_what_waits_is_bounded_whoever_sends_whatever(full: Full) -> None:
    house = full.house
    house.later(3600.0)
    number = 0
    for routing in range(200):
        user = f"n:{random.Random(routing).randbytes(32).hex()}"
        for _ in range(100):
            number += 1
            message = encode(FetchRows(number, full.network, 0))
            house.desk.take(b"%d" % routing, Frame(message, user), house.now)

    assert house.desk.waiting <= 2 * WAITING_MAX
    while house.desk.waiting:
        house.work()
    house.sent.clear()


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(VERBS)),
    st.dictionaries(
        st.sampled_from(["network", "member", "name", "token", "key", "limit", "after", "now"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=20), st.just("home"),
            st.lists(st.text(max_size=5), max_size=3), st.floats(allow_nan=True),
        ),
        max_size=4,
    ),
    edits | st.just([]),
)  # fmt: skip
def test_hostile_calls_of_an_admin_are_answered(
    full: Full, verb: str, arguments: dict[str, Any], changes: Edits
) -> None:
    """S10"""
    house = full.house
    house.later(1.0)
    frame = edited(encode_admin(Call(7, verb, arguments, dry_run=changes_something(verb))), changes)
    reply = decode_answer(answer(house.office, frame, house.now_ms, house.now))

    assert isinstance(reply, Result | Failed)
    assert not (isinstance(reply, Failed) and reply.code == Exit.INTERNAL), reply
    assert not house.registry.connection.in_transaction()


def guess(dice: random.Random, frames: list[bytes]) -> bytes:
    """A frame with something wrong."""
    changes = [
        (
            dice.choice(["put", "insert", "cut", "end", "repeat", "widen"]),
            dice.randrange(400),
            dice.randbytes(dice.randrange(1, 9)),
        )
        for _ in range(dice.randrange(1, 5))
    ]
    return edited(dice.choice(frames), changes)


@pytest.mark.timeout(400)
def test_garbage_on_real_connections_costs_the_others_nothing(tmp_path: Path) -> None:
    """S10: admitted nodes and a token's holder send what they like; memory is bounded."""
    dice = random.Random(20)
    with running(tmp_path) as controller:
        network = controller.network()
        honest = controller.node(network, "honest").enrol(network)
        villains = [controller.node(network, f"v{i}").enrol(network) for i in range(4)]
        token = Node(controller.token(network, uses=50))
        frames = [
            encode(one).replace(documented.NETWORK.encode(), network.encode()) for one in REQUESTS
        ]
        before = rss_mib(controller.pid)
        sent: Counter[str] = Counter()
        for _ in range(400):
            for villain in villains:
                villain.connect().send_raw(guess(dice, frames))
                sent["node"] += 1
        token.secret = token.join_string.token  # the token's own connection
        line = token.connect()
        for _ in range(100):
            line.send_raw(guess(dice, frames))
            sent["token"] += 1
        with pytest.raises(SilenceError):  # not even an answer
            line.ask(Join(1, network, bytes(32), (), (4,), 1), 1.0)
        token.close()
        grown = rss_mib(controller.pid) - before
        print(f"{dict(sent)} frames; the controller grew by {grown:.1f} MiB")

        assert isinstance(honest.refresh(network), Unchanged | Joined)
        newcomer = controller.node(network, "newcomer").enrol(network)
        assert bytes(honest.key) in newcomer.peers
        assert grown < 24
        status = controller.ask("status")[0]["requests"]
        assert status["nonsense"] > 100
        controller.stop()
        assert controller.command("check").returncode == 0
