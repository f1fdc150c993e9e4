"""What a controller costs that has very many members: its start, its memory, one more member.

The members are spokes of one network; they were written into the database while nobody served it.
"""

import time
from dataclasses import dataclass

from bench.crowd.enrolling import enrol
from bench.crowd.filled import fill
from bench.crowd.members import Crowd, make_members
from bench.crowd.served import Controller, serving
from protocol.messages import Welcome

POOL = "10.0.0.0/8"
NUMBER = 1  # of the first network
WARM_UP = 256  # members
BUSY = 50_000  # microseconds of CPU in a second


@dataclass(frozen=True, slots=True)
class Found:
    """`one_more`: admit + join, in signatures."""

    restart_s: float
    rss_mib: float
    one_more: float


def of_members(count: int, joining: int) -> Found:
    """A controller of `count` members, after `joining` more; a first one shows that it answers."""
    with serving() as controller:
        network = _network(controller)
        if count:
            controller.end()
            fill(controller.database, NUMBER, POOL, count)
            controller.start()
        first, *others = make_members([network], 1 + WARM_UP + joining)
        enrol(controller, [first])
        controller.end()
        begun = time.perf_counter()
        controller.start()
        with Crowd(controller.endpoint, controller.curve) as crowd:
            crowd.connect([(first.label, first.secret)])
            crowd.ask(Welcome, [(first.label, first.hello())])
        took = time.perf_counter() - begun
        enrol(controller, others[:WARM_UP])
        _await_rest(controller)
        one_more = enrol(controller, others[WARM_UP:]).admit_and_join
        return Found(took, controller.process.rss_kib() / 1024, one_more)


def _await_rest(controller: Controller) -> None:
    """What it does once after a start is done."""
    before = -1.0
    while controller.process.cpu_us() - before > BUSY:
        before = controller.process.cpu_us()
        time.sleep(1.0)


def _network(controller: Controller) -> str:
    made = controller.ask(
        "network.create", id="bench large", name="home", ipv4=POOL, topology="hub"
    )
    return str(made[0]["id"])
