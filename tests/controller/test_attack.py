"""Somebody who only wants to do harm: the controller serves the others and does not grow."""

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq

from protocol.messages import Ping, Pong, Unchanged, encode
from tests.controller.farm import Controller, open_files, rss_mib, running, wait_for
from tests.controller.node import Node

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
NETWORK = "home"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("attack")) as one:
        one.network(NETWORK)
        yield one


@pytest.fixture(scope="module")
def honest(controller: Controller) -> Node:
    """A node that is in, and must be served through everything."""
    network = str(controller.ask("network.show", network=NETWORK)[0]["id"])
    return controller.node(NETWORK, "honest").enrol(network)


def served(controller: Controller, node: Node) -> bool:
    """The honest node on its line, a newcomer, and the operator."""
    network = str(controller.ask("network.show", network=NETWORK)[0]["id"])
    newcomer = controller.node(NETWORK, "newcomer").enrol(network)
    newcomer.close()
    return isinstance(node.refresh(network), Unchanged)


def connect(controller: Controller) -> socket.socket:
    return socket.create_connection(("127.0.0.1", controller.port), timeout=2)


def fuzz(number: int, dice: random.Random) -> bytes:
    match number % 6:
        case 0:
            return dice.randbytes(dice.randrange(1, 400))
        case 1:
            return GREETING[: dice.randrange(1, 64)]
        case 2:
            return GREETING + bytes([dice.choice([0, 1, 2, 4, 6])]) + dice.randbytes(200)
        case 3:
            return GREETING + b"\x04\xc8\x05HELLO\x01\x00" + dice.randbytes(192)
        case 4:
            size = dice.choice([0, 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
            return GREETING + b"\x06" + struct.pack("!Q", size) + b"\x05HELLO"
        case _:
            return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_garbage_is_served_nothing_and_stops_nothing(controller: Controller, honest: Node) -> None:
    dice, before = random.Random(1), rss_mib(controller.pid)
    for number in range(300):
        with connect(controller) as line:
            line.sendall(fuzz(number, dice))

    assert served(controller, honest)
    assert rss_mib(controller.pid) < before + 16


def test_a_huge_frame_is_cut_off_before_it_is_kept(controller: Controller, honest: Node) -> None:
    before = rss_mib(controller.pid)
    sent = 0
    with connect(controller) as line:
        line.sendall(GREETING + b"\x06" + struct.pack("!Q", 1 << 31))
        try:
            while sent < 64 << 20:
                sent += line.send(bytes(1 << 16))
        except OSError:
            pass

    assert sent < 64 << 20
    assert rss_mib(controller.pid) < before + 16
    assert served(controller, honest)


def test_idle_connections_are_closed_and_keep_nobody_out(
    controller: Controller, honest: Node
) -> None:
    before = open_files(controller.pid)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(controller))
        wait_for(lambda: open_files(controller.pid) > before + 250)

        assert served(controller, honest)
        wait_for(lambda: open_files(controller.pid) < before + 50)  # the handshake's 5 s


def test_a_client_without_encryption_gets_nothing_through(
    controller: Controller, honest: Node
) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(controller.endpoint)
        dealer.send(b"\x92\xa4ping\x01")

        assert not dealer.poll(300)
    assert served(controller, honest)


def test_an_admitted_node_that_sends_nonsense_is_not_answered_and_harms_nobody(
    controller: Controller, honest: Node
) -> None:
    network = str(controller.ask("network.show", network=NETWORK)[0]["id"])
    villain = controller.node(NETWORK, "villain").enrol(network)
    line = villain.connect()
    before = rss_mib(controller.pid)
    for frames in (
        [b""],
        [b"x" * 60_000],
        [b"\xc1"],
        [b"\xdd\xff\xff\xff\xff"],
        [b"a", b"b"],
        [b"part"] * 5000,
        [b"\x99" * 3000],
    ):
        line.send_raw(*frames)
    line.send_raw(b"more", encode(Ping(4_000_000)))  # two parts: not read, whatever they are
    assert isinstance(line.ask(Ping(line.id())), Pong)
    assert line.pushes == []
    line.send_raw(b"y" * 70_000)  # above the limit: the line is cut, and made anew

    assert served(controller, honest)
    assert isinstance(line.ask(Ping(line.id())), Pong)
    assert rss_mib(controller.pid) < before + 16


def test_a_node_that_never_reads_is_bounded(controller: Controller, honest: Node) -> None:
    network = str(controller.ask("network.show", network=NETWORK)[0]["id"])
    deaf = controller.node(NETWORK, "deaf").enrol(network)
    line = deaf.connect()
    before = rss_mib(controller.pid)
    for _ in range(3000):
        try:
            line.send(Ping(1))
        except zmq.Again:
            break

    assert served(controller, honest)
    assert rss_mib(controller.pid) < before + 32
