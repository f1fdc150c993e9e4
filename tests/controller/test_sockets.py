"""What the one place where sockets are made does beside making them."""

import socket
from dataclasses import dataclass

import pytest

from controller.front.sockets import cut


@dataclass
class Frame:
    """What zmq says of a frame: the descriptor it came by, and from whom."""

    descriptor: int
    peer: str

    def get(self, what: object) -> object:
        return self.peer if what == "Peer-Address" else self.descriptor


@pytest.mark.parametrize(
    ("peer", "is_cut"),
    [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("198.51.100.7", False), ("", False)],
)
def test_a_connection_is_cut_only_when_who_spoke_is_at_its_other_end(
    peer: str, is_cut: bool
) -> None:
    """The descriptor may have become another connection's meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        line, _ = server.accept()
        with client, line:
            assert cut(Frame(line.fileno(), peer)) is is_cut
            line.settimeout(0.05)
            if is_cut:
                assert line.recv(1) == b""
            else:
                with pytest.raises(TimeoutError):
                    line.recv(1)


def test_what_is_gone_or_no_socket_is_left_alone() -> None:
    with socket.socket() as gone:
        number = gone.fileno()
    assert not cut(Frame(number, "127.0.0.1"))
    with open("/dev/null", "rb") as file:  # noqa: PTH123  # a descriptor
        assert not cut(Frame(file.fileno(), "127.0.0.1"))
        assert not file.closed
