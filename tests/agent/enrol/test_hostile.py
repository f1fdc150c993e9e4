"""S10, on the node: whatever a controller's connection carries, nothing breaks and nothing grows."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.enrol.actions import Deliver, Holding
from agent.overlay.belief import Belief
from agent.overlay.peers import Here, plan_peers
from protocol.messages import Joined, MessageError, Reply, Rows, decode_reply, encode
from protocol.signed import StatementError, read_unverified
from protocol.statements import Membership, NetworkState
from tests.agent.enrol.timeline import Node, member
from tests.agent.overlay.signing import NETWORK, SETTINGS, Authority, Someone, state
from tests.agent.overlay.test_belief import FARM, ME, N2, N3, begin, joined, rows, trust
from tests.protocol import documented
from tests.protocol.edits import Edits, edited, edits

GOOD = [encode(one) for one in documented.MESSAGES]
STRANGER = Authority()
TOLD: list[Joined | Rows] = [
    joined(),
    rows(ME, N2, N3, now=state(epoch=6)),
    rows(ME, N2, Someone("n4", ("10.9.0.4/16",)), revision=3),
    Rows(0, NETWORK, 2, 4, False, FARM.rows(N2), (bytes(N3.node),), None),
    Rows(0, NETWORK, 2, 4, False, STRANGER.rows(N2), (), STRANGER.signer.seal(state(epoch=9))),
]
FRAMES = [*GOOD, *(encode(one) for one in TOLD)]


def read(frame: bytes) -> Reply | None:
    try:
        return decode_reply(frame)
    except MessageError:
        return None


def take(belief: Belief, reply: Reply) -> None:
    try:
        if isinstance(reply, Joined):
            belief.take_joined(trust(), reply)
        elif isinstance(reply, Rows):
            belief.take_rows(reply)
    except StatementError:
        return


def hear(who: Node, reply: Reply, now: float) -> None:
    """As the farm does it: what is delivered is held."""
    who.machine.received(reply, now)
    for action in who.take():
        if isinstance(action, Deliver):
            who.machine.hold(NETWORK, Holding(1, 1, 1, 1))


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FRAMES), edits), min_size=1, max_size=4))
def test_no_frame_breaks_a_node_and_only_what_is_signed_is_believed(
    frames: list[tuple[bytes, Edits]],
) -> None:
    who, belief = member(), begin()
    belief.take_state(FARM.signer.seal(state(epoch=7)))
    for number, (frame, changes) in enumerate(frames):
        reply = read(edited(frame, changes))
        if reply is None:
            continue
        hear(who, reply, number)
        take(belief, reply)
        who.machine.wake(number + 100.0)
        who.take()

    verified = belief.members(None)
    plan_peers(verified, Here((), frozenset({4, 6})), {})
    certified = {bytes(one.node) for one in (N2, N3)} | signed_nodes()
    assert {m.node for m in verified.members.values()} <= certified
    assert belief.kept.state.signer == FARM.signer.id
    assert isinstance(belief.state, NetworkState)
    assert belief.reached >= (1, 7)


def signed_nodes() -> set[bytes]:
    """Of everybody whom our controller has ever certified."""
    told = (row for one in TOLD if isinstance(one, Rows) for row in one.rows)
    return {read_unverified(row.membership, Membership).node for row in told}


def test_the_memory_does_not_grow_with_what_is_refused() -> None:
    belief = begin()
    bad = Rows(0, NETWORK, 2, 4, False, STRANGER.rows(N2, N3), (), STRANGER.signer.seal(state()))
    frame = encode(bad)

    def refuse(times: int) -> int:
        """Bytes in use afterwards."""
        for _ in range(times):
            take(belief, decode_reply(frame))
            belief.members(None)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before, after = refuse(500), refuse(2000)
    tracemalloc.stop()
    print(f"2000 refused frames: {after - before} bytes more")

    assert after - before < 2000 * len(frame) / 20
    assert belief.settings == SETTINGS


def test_a_frame_that_promises_four_thousand_million_things_gets_no_memory() -> None:
    tracemalloc.start()
    for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6"):
        assert read(b"\x99\xa4rows" + head + b"\xff\xff\xff\xff") is None
        assert read(head + b"\xff\xff\xff\xff" + b"\x91" * 60_000) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * 1024 * 1024
