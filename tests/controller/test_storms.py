"""D7: everybody comes back at once after the controller was killed: nobody is lost, and not in step.

The nodes are agents as far as talking goes: the agent's own machine, session and netmap, without disk
and kernel.
"""

import asyncio
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from agent.enrol.actions import (
    Action,
    Close,
    Controller,
    Deliver,
    Holding,
    Me,
    Open,
    Prepare,
    Presence,
    Send,
)
from agent.enrol.approach import RECONNECT_FIRST, Failure
from agent.enrol.machine import Machine
from agent.enrol.phase import Online
from agent.enrol.session import Session
from agent.overlay.netmap import Netmap
from protocol.joinstring import JoinString
from protocol.keys import curve_public, new_curve_pair
from protocol.messages import Joined, Rows, decode_reply, encode
from protocol.signed import read_unverified
from protocol.statements import Membership, NetworkState
from tests.controller import farm

NODES = 250


class Agent:
    """One node: what it talks, and what it holds."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", join: JoinString, number: int
    ) -> None:
        self.public, self.secret = new_curve_pair()
        self.wireguard = bytes(new_curve_pair()[0])
        endpoint, key = join.controllers[0]
        self.machine = Machine(
            Me(self.public, f"n{number}", "0.1.0", "linux", 1),
            (Controller(endpoint, key),),
            admitted=False,
            fraction=random.Random(number).random,
        )
        self.token = join.token
        self.opened: list[float] = []  # when it was to be: this process may be late
        self.addresses: tuple[str, ...] = ()
        self.holding = Holding()
        self._netmap = Netmap()
        self._loop = asyncio.get_running_loop()
        self._session = Session(context, self)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tell(lambda now: self.machine.add_token(self.token, now))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._session.close()

    @property
    def peers(self) -> set[bytes]:
        return set(self._netmap.rows)

    def is_in(self, head: int) -> bool:
        return isinstance(self.machine.state, Online) and self.holding.revision >= head

    # what the session says

    def shaken(self) -> None:
        self._tell(self.machine.shaken)

    def refused(self, why: Failure) -> None:
        self._tell(lambda now: self.machine.refused(why, now))

    def lost(self) -> None:
        self._tell(self.machine.lost)

    def frame(self, data: bytes) -> None:
        reply = decode_reply(data)
        self._tell(lambda now: self.machine.received(reply, now))

    # what the machine says

    def _wake(self, due: float) -> None:
        self._tell(self.machine.wake, due)

    def _tell(self, event: Callable[[float], None], due: float | None = None) -> None:
        event(self._loop.time())
        while actions := self.machine.actions():
            for action in actions:
                self._do(action, self._loop.time(), due)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.machine.deadline
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._wake, deadline)

    def _do(self, action: Action, now: float, due: float | None) -> None:
        match action:
            case Open(controller, token):
                self.opened.append(due or now)
                secret = token or self.secret
                self._session.open(controller, curve_public(secret), secret)
            case Close():
                self._session.close()
            case Send(message):
                self._session.send(encode(message))
            case Prepare(network):
                self.machine.present(network, Presence(self.wireguard, (), (4,), 51820), now)
            case Deliver(Joined() as joined):
                self._joined(joined)
            case Deliver(Rows() as rows):
                self._rows(rows, now)
            case _:
                pass

    def _joined(self, joined: Joined) -> None:
        membership = read_unverified(joined.membership, Membership)
        state = read_unverified(joined.state, NetworkState)
        self.addresses = tuple(str(i) for i in membership.interfaces)
        self.holding = Holding(
            membership.serial, state.incarnation, state.epoch, self._netmap.revision
        )
        self.machine.hold(joined.network, self.holding)

    def _rows(self, rows: Rows, now: float) -> None:
        self._netmap, outcome = self._netmap.take(rows)
        held = self.holding
        self.holding = Holding(held.serial, held.incarnation, held.epoch, self._netmap.revision)
        self.machine.hold(rows.network, self.holding)
        if outcome.ask is not None:
            self.machine.fetch(rows.network, outcome.ask.revision, outcome.ask.after, now)


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[farm.Controller]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    with farm.running(tmp_path) as one:
        yield one


@pytest.mark.timeout(400)
def test_hundreds_come_back_after_a_kill_and_not_in_step(controller: farm.Controller) -> None:
    controller.network("home")
    join = controller.token(uses=NODES)
    asyncio.run(_storm(controller, join))


async def _storm(controller: farm.Controller, join: JoinString) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 8 * NODES)
    agents = [Agent(context, join, number) for number in range(NODES)]
    try:
        for agent in agents:
            agent.start()
        await _until(lambda: all(a.is_in(NODES) for a in agents))
        before = [(a.addresses, a.holding.serial) for a in agents]
        assert all(len(a.peers) == NODES for a in agents)
        for agent in agents:
            agent.opened.clear()

        controller.kill()
        await _until(lambda: all(a.opened for a in agents))
        await asyncio.sleep(1.0)
        await asyncio.to_thread(controller.start)
        await _until(lambda: all(isinstance(a.machine.state, Online) for a in agents))
        await _until(lambda: _connected(controller) == NODES)

        assert [(a.addresses, a.holding.serial) for a in agents] == before
        members = controller.ask("network.show", network="home")[0]["members"]
        assert members == NODES
        assert all(len(a.peers) == NODES for a in agents)
        assert _largest_share([a.opened[0] for a in agents]) < 0.5
        again = [a.opened[1] for a in agents if len(a.opened) > 1]
        assert len(again) > NODES / 10
        assert _largest_share(again) < 0.5
    finally:
        for agent in agents:
            agent.close()
        context.term()


def _connected(controller: farm.Controller) -> int:
    return int(controller.ask("network.show", network="home")[0]["online"])


def _largest_share(moments: list[float]) -> float:
    """Of the attempts, how many fell into the same fifth of the first pause."""
    width = RECONNECT_FIRST / 5
    start = min(moments)
    bins = [int((moment - start) / width) for moment in moments]
    return max(bins.count(one) for one in set(bins)) / len(bins)


async def _until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what it waits for is in another process
            await asyncio.sleep(0.05)
