"""Which controller ncadm talks to, and the connection to it.

add_door(parser)                     # --socket, --controller, --server-key, --key, --context
with OpenDoor(arguments) as door:    # raises CannotError
    door.send(frame)
    answer = door.receive(timeout)   # raises CannotError

The unix socket of this machine, unless an address is named, by flags or by the file CONTEXT:

    controller: tcp://192.0.2.1:9931
    server_key: 64 hex digits       # of the controller; ncadm status prints it
    key: /home/me/.config/zosnet/admin.key      # from ncadm keygen, readable by nobody else

Who is reached over the network is known by its key before anything is sent, and knows us by ours.
"""

import argparse
import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from runtime import paths
from runtime.failure import CannotError, Exit

SOCKET = paths.RUN / "controller/admin.sock"
_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
_ADDRESS = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}\Z")
_HINT = "it needs the address, --server-key and --key; see: ncadm keygen --help"


class Door(Protocol):
    """`address` is for zmq, `name` for people."""

    @property
    def address(self) -> str: ...
    @property
    def name(self) -> str: ...
    def knock(self) -> None:
        """Raises CannotError when nobody is there, which libzmq would wait for in silence."""

    def dress(self, dealer: Any) -> None:
        """Set what the connection needs, before it is made. Raises CannotError."""

    def unreachable(self, reason: str) -> CannotError: ...


class Local(NamedTuple):  # no dataclass, which would cost every command 10 ms
    path: Path

    @property
    def address(self) -> str:
        return f"ipc://{self.path}"

    @property
    def name(self) -> str:
        return str(self.path)

    def dress(self, dealer: Any) -> None:
        pass

    def knock(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.path))
            except FileNotFoundError:
                raise self.unreachable("it does not exist") from None
            except ConnectionRefusedError:
                raise self.unreachable("nobody listens there") from None
            except PermissionError as error:
                raise CannotError(
                    f"cannot reach the controller at {self.path}: not root",
                    hint="run it with sudo",
                    code=Exit.DENIED,
                ) from error
            except OSError as error:
                raise self.unreachable(str(error.strerror or error)) from error

    def unreachable(self, reason: str) -> CannotError:
        return CannotError(
            f"cannot reach the controller at {self.path}: {reason}",
            hint="is it running? zosnet-controller serve; another socket: --socket PATH",
            code=Exit.UNREACHABLE,
        )


class Remote(NamedTuple):
    address: str
    server_key: bytes
    key: Path

    @property
    def name(self) -> str:
        return self.address

    def dress(self, dealer: Any) -> None:
        from controller.admin.keyfile import load
        from protocol.keys import curve_public, to_z85

        secret = load(self.key)
        dealer.curve_serverkey = to_z85(self.server_key)
        dealer.curve_publickey = to_z85(curve_public(secret))
        dealer.curve_secretkey = to_z85(secret)

    def knock(self) -> None:
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
        except (OSError, OverflowError) as error:
            raise self.unreachable(str(getattr(error, "strerror", None) or error)) from error

    def unreachable(self, reason: str) -> CannotError:
        return CannotError(
            f"cannot reach the controller at {self.address}: {reason}",
            hint="is it running, and is `admin_listen` set in its controller.yaml?",
            code=Exit.UNREACHABLE,
        )


class OpenDoor:
    """The connection, open while the context is."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.door = choose(arguments)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import zmq

        self.door.knock()
        context = self._stack.enter_context(zmq.Context())
        dealer = self._stack.enter_context(context.socket(zmq.DEALER))
        dealer.setsockopt(zmq.LINGER, 0)
        try:
            self.door.dress(dealer)
            self._failures = self._stack.enter_context(
                dealer.get_monitor_socket(
                    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
                )
            )
            self._stack.callback(dealer.disable_monitor)
            dealer.connect(self.door.address)
        except BaseException:
            self._stack.close()
            raise
        self._dealer = dealer
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, frame: bytes) -> None:
        self._dealer.send(frame)

    def receive(self, timeout: float) -> bytes:
        """The next frame. Raises CannotError."""
        import zmq

        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._failures, zmq.POLLIN)
        ready = dict(poller.poll(int(timeout * 1000)))
        if self._dealer in ready:
            return self._dealer.recv()
        if self._failures in ready:
            raise self._refused()
        raise self.door.unreachable(f"no answer within {timeout:.0f} s")

    def _refused(self) -> CannotError:
        import zmq
        from zmq.utils.monitor import recv_monitor_message

        name = self.door.name
        if recv_monitor_message(self._failures)["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return CannotError(
                f"cannot talk to the controller at {name}: it does not know our key",
                hint="on the controller: ncadm key admin add NAME KEY",
                code=Exit.DENIED,
            )
        return CannotError(
            f"cannot talk to the controller at {name}: it has another key than the one we know",
            hint="is --server-key right? ncadm status on the controller prints it",
            code=Exit.VERIFICATION,
        )


def add_door(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--socket",
        type=Path,
        metavar="PATH",
        help=f"the controller's admin socket (default: {SOCKET})",
    )
    parser.add_argument(
        "--controller",
        dest="remote",
        metavar="tcp://HOST:PORT",
        help="a controller elsewhere, instead",
    )
    parser.add_argument("--server-key", metavar="HEX", help="its key, as its status prints it")
    parser.add_argument(
        "--key",
        dest="own_key",
        type=Path,
        metavar="FILE",
        help="our key, from: ncadm keygen FILE",
    )
    parser.add_argument(
        "--context", type=Path, metavar="FILE", help=f"all three in a file (default: {_context()})"
    )


def choose(arguments: argparse.Namespace) -> Door:
    """Flags before the file before the socket of this machine. Raises CannotError."""
    socket_path, remote, server_key, own_key, context = (
        getattr(arguments, name, None)
        for name in ("socket", "remote", "server_key", "own_key", "context")
    )
    elsewhere = any((remote, server_key, own_key, context))
    if socket_path is not None:
        if elsewhere:
            raise _unclear("--socket is on this machine, the other flags are for another")
        return Local(socket_path)
    kept = _read_context(context)
    if remote or kept["controller"]:
        return _remote(
            remote or kept["controller"],
            server_key or kept["server_key"],
            own_key or kept["key"],
        )
    if elsewhere:
        raise _unclear("it is not said where: --controller")
    return Local(SOCKET)


def _remote(address: str, server_key: str, key: Path | str) -> Remote:
    if not _ADDRESS.match(address):
        raise _unclear(f"{address!r} is no address such as tcp://192.0.2.1:9931")
    if not _KEY.match(server_key):
        raise _unclear("the controller's key is 64 hex digits")
    if not str(key):
        raise _unclear("no key of ours is named")
    return Remote(address, bytes.fromhex(server_key), Path(key).expanduser())


def _read_context(named: Path | None) -> dict[str, str]:
    path = named or _context()
    if named is None and not path.is_file():
        return {"controller": "", "server_key": "", "key": ""}
    import msgspec

    from controller.admin.context import Context
    from runtime.config import load_config

    return msgspec.structs.asdict(load_config(path, Context, must_exist=True))


def _context() -> Path:
    return Path(os.path.expanduser("~")) / ".config/zosnet/ncadm.yaml"  # noqa: PTH111  # never raises


def _unclear(reason: str) -> CannotError:
    return CannotError(f"cannot choose a controller: {reason}", hint=_HINT, code=Exit.USAGE)
