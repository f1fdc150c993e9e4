"""One call to the controller's admin socket.

    items = ask(arguments, "network.list", {})

Failures become CannotError with the controller's words and exit code. A call that gets no answer in
time may be repeated: every verb is idempotent.
"""

import argparse
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from runtime import paths
from runtime.cli import add_output
from runtime.failure import CannotError, Exit

SOCKET = paths.RUN / "controller.sock"
TIMEOUT = 10.0  # seconds

Items = list[dict[str, Any]]


def add_common(parser: argparse.ArgumentParser) -> None:
    """`--socket`, `-o`: what every verb has."""
    parser.add_argument(
        "--socket",
        type=Path,
        default=SOCKET,
        metavar="PATH",
        help="the controller's admin socket (default: %(default)s)",
    )
    add_output(parser)


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def ask(arguments: argparse.Namespace, verb: str, call: dict[str, Any]) -> Items:
    """The items of the answer. Raises CannotError."""
    import msgspec
    import zmq

    from protocol.admin import Call, Failed, decode_answer, encode_admin

    path: Path = arguments.socket
    _knock(path)
    number = secrets.randbits(32)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"ipc://{path}")
        dealer.send(encode_admin(Call(number, verb, call)))
        if not dealer.poll(int(TIMEOUT * 1000)):
            raise _unreachable(path, f"no answer within {TIMEOUT:.0f} s")
        frame = dealer.recv()
    try:
        answer = decode_answer(frame)
    except msgspec.MsgspecError as error:
        raise CannotError(
            f"cannot understand the controller: {error}", hint="do ncadm and controller differ?"
        ) from error
    if isinstance(answer, Failed):
        raise CannotError(answer.message, hint=answer.hint or None, code=Exit(answer.code))
    if answer.note:
        print(answer.note, file=sys.stderr)
    return answer.items


def add_verbs(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[Any]":
    """The place of a noun's verbs."""
    return parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)


def confirm(arguments: argparse.Namespace, question: str) -> None:
    """Ask before something that cannot be taken back: only on a terminal. Raises CannotError."""
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CannotError("cannot go on: it was not confirmed", code=Exit.USAGE)


def _knock(path: Path) -> None:
    """libzmq waits in silence for whoever may come; a person wants to know that nobody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            raise _unreachable(path, "it does not exist") from None
        except ConnectionRefusedError:
            raise _unreachable(path, "nobody listens there") from None
        except PermissionError as error:
            raise CannotError(
                f"cannot reach the controller at {path}: not root",
                hint="run it with sudo",
                code=Exit.DENIED,
            ) from error
        except OSError as error:
            raise _unreachable(path, str(error.strerror or error)) from error


def _unreachable(path: Path, reason: str) -> CannotError:
    return CannotError(
        f"cannot reach the controller at {path}: {reason}",
        hint="is it running? zosnet-controller serve; another socket: --socket PATH",
        code=Exit.UNREACHABLE,
    )
