"""New nodes: what admitting and joining them costs the controller.

A wave of nodes at a time: (1) their tokens' connections are made, (2) all ask to be admitted, (3) they
connect with their own keys, (4) all join, (5) all disconnect. The CPU time of each phase is read apart.
Wave by wave one signature is measured as well, so that both have the same machine.

admit + join    phases 2 and 4: both requests received, decoded, answered after their commits; the
                node, the member, its address, the token's use and two audit rows written; one
                certificate signed. Connections are made and ended outside of it.
new node        all five phases, each node with a token and a token's connection of its own
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from bench.crowd.members import Crowd, Member, make_members
from bench.crowd.rows import rows_alone
from bench.crowd.served import Controller, serving
from bench.crowd.yardstick import Signature, bare_server
from protocol.keys import CurveSecret, new_curve_pair
from protocol.messages import Done, Joined

WAVE = 256  # requests under way
ADMITS_A_LINE = 200  # a token's connection may not ask without end
SETTLED = 0.02  # seconds after which the controller has done what follows an answer


@dataclass(slots=True)
class Phases:
    """CPU time of the controller, microseconds, by what it did."""

    members: int = 0
    handshakes: float = 0.0
    admits: float = 0.0
    joins: float = 0.0
    farewells: float = 0.0
    signature: Signature = field(default_factory=Signature)

    @property
    def admit_and_join(self) -> float:
        """Of one member, in signatures."""
        return (self.admits + self.joins) / self.members / self.signature.us

    @property
    def whole(self) -> float:
        """Of one new node, in microseconds."""
        total = self.handshakes + self.admits + self.joins + self.farewells
        return total / self.members


def enrol_shape(networks: int, each: int) -> Phases:
    """Fill an empty controller with `networks` x `each` members, in random order."""
    with serving() as controller:
        ids = [controller.network(f"n{index}") for index in range(networks)]
        members = make_members(ids, networks * each)
        random.Random(7).shuffle(members)
        return enrol(controller, members)


def floor_of_rows(count: int) -> float:
    """What their rows alone cost of `count` members of one network, in signatures."""
    signature = Signature()
    with serving() as controller:
        enrol(controller, make_members([controller.network("home")], count))
        controller.end()
        signature.measure()
        alone = rows_alone(controller.database)
        signature.measure()
        controller.start()
    return alone / signature.us


def enrol(controller: Controller, members: Sequence[Member]) -> Phases:
    """Admit and join these; a token for each network, used by as many as there are."""
    phases = Phases()
    with TokenLines(controller, members) as lines:
        for wave in waves(members):
            phases.signature.measure()
            enrol_wave(controller, lines, wave, phases)
    phases.signature.measure()
    return phases


def enrol_wave(
    controller: Controller, lines: "TokenLines", wave: Sequence[Member], phases: Phases
) -> None:
    watch = Stopwatch(controller)
    lines.crowd.ask(Done, [(lines.of(member), member.admit()) for member in wave])
    phases.admits += watch.lap()
    with Crowd(controller.endpoint, controller.curve) as crowd:
        crowd.connect((member.label, member.secret) for member in wave)
        phases.handshakes += watch.lap()
        crowd.ask(Joined, [(member.label, member.join()) for member in wave])
        phases.joins += watch.lap()
    phases.farewells += watch.lap()
    phases.members += len(wave)


def enrol_singly(count: int) -> Phases:
    """`count` new nodes, each with a token of its own: all that a node's first contact costs."""
    phases = Phases()
    with serving() as controller:
        members = make_members([controller.network("home")], count)
        tokens = [new_curve_pair() for _ in members]
        for public, _ in tokens:
            controller.allow("home", public)
        secrets = {m.label: s for m, (_, s) in zip(members, tokens, strict=True)}
        for wave in waves(members):
            watch = Stopwatch(controller)
            with Crowd(controller.endpoint, controller.curve) as crowd:
                crowd.connect((member.label, secrets[member.label]) for member in wave)
                phases.handshakes += watch.lap()
                crowd.ask(Done, [(member.label, member.admit()) for member in wave])
                phases.admits += watch.lap()
            with Crowd(controller.endpoint, controller.curve) as crowd:
                crowd.connect((member.label, member.secret) for member in wave)
                phases.handshakes += watch.lap()
                crowd.ask(Joined, [(member.label, member.join()) for member in wave])
                phases.joins += watch.lap()
            phases.farewells += watch.lap()
            phases.members += len(wave)
    return phases


def bare_handshake(count: int) -> float:
    """Microseconds of CPU that one costs a server that does nothing else, its end included."""
    with bare_server() as (process, endpoint, key):
        begun = process.cpu_us()
        for start in range(0, count, WAVE):
            with Crowd(endpoint, key) as crowd:
                wave = [new_curve_pair() for _ in range(min(WAVE, count - start))]
                crowd.connect((public[:16], secret) for public, secret in wave)
            time.sleep(SETTLED)
        return (process.cpu_us() - begun) / count


class TokenLines:
    """Connections of tokens, made beforehand: one token a network, as many lines as it takes."""

    def __init__(self, controller: Controller, members: Sequence[Member]) -> None:
        wanted: dict[str, int] = {}
        for member in members:
            wanted[member.network] = wanted.get(member.network, 0) + 1
        self._lines: dict[str, list[bytes]] = {}
        ends: list[tuple[bytes, CurveSecret]] = []
        for network, uses in wanted.items():
            public, secret = new_curve_pair()
            controller.allow(network, public, uses=uses)
            labels = [b"%s.%d" % (network.encode(), n) for n in range(1 + uses // ADMITS_A_LINE)]
            self._lines[network] = labels
            ends += [(label, secret) for label in labels]
        self.crowd = Crowd(controller.endpoint, controller.curve)
        self.crowd.connect(ends)
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.crowd.__exit__(*details)

    def of(self, member: Member) -> bytes:
        self._next += 1
        lines = self._lines[member.network]
        return lines[self._next % len(lines)]


class Stopwatch:
    """The controller's CPU time between two moments at which it rests."""

    def __init__(self, controller: Controller) -> None:
        self._process = controller.process
        time.sleep(SETTLED)
        self._at = self._process.cpu_us()

    def lap(self) -> float:
        time.sleep(SETTLED)
        before, self._at = self._at, self._process.cpu_us()
        return self._at - before


def waves(members: Sequence[Member]) -> Iterator[Sequence[Member]]:
    for start in range(0, len(members), WAVE):
        yield members[start : start + WAVE]
