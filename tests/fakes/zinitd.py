"""A stand-in for the service manager zinit: no copy of it, but true to what 0.2.11 does.

    python tests/fakes/zinitd.py --socket /run/zinit.sock --units /etc/zinit [--log-dir DIR]

Starts every DIR/*.yaml and answers on the socket, one text line a connection. The states, targets,
error texts, the 2 s between restarts, a oneshot that is never tried again, dependents that stay
Blocked, `stop` that does not wait: all as zinit 0.2.11. With `--as 0.2.28` it speaks JSON-RPC, and
`stop` signals after 0.5 s and kills after as much again; `--as 0.2.27` does that too, and does not
say why it refuses something (0.2.15 and later).

What it does not do: switch the machine off (`shutdown` and `reboot` end the stand-in, as
`zinit init --container` does), fork without a pause when a test program is missing (twenty times
a second here), or leave stubborn processes behind: at its end it kills the process groups of its
services. Of JSON-RPC it has the methods that a client of services needs. Processes that left their
group are not its business. With --log-dir the ring's lines are kept in DIR/<service>.log as well.
"""

import argparse
import contextlib
import selectors
import signal
import socket
from pathlib import Path

from tests.fakes.zinit.doors import DOORS, Client
from tests.fakes.zinit.loop import Loop
from tests.fakes.zinit.services import RefusedError, Ring, Supervisor


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    return listener


def _take_signals(loop: Loop, supervisor: Supervisor) -> None:
    awake, poke = socket.socketpair()
    awake.setblocking(False)
    poke.setblocking(False)
    signal.set_wakeup_fd(poke.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    def on_signal(_events: int) -> None:
        numbers = set(awake.recv(4096))
        supervisor.reap()
        if numbers - {signal.SIGCHLD}:
            supervisor.shut_down()

    loop.watch(awake, selectors.EVENT_READ, on_signal)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--units", type=Path, required=True)
    parser.add_argument("--log-dir", type=Path)
    parser.add_argument("--as", dest="version", choices=DOORS, default="0.2.11")
    arguments = parser.parse_args()
    loop = Loop()
    if arguments.log_dir:
        arguments.log_dir.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(loop, arguments.units.absolute(), Ring(arguments.log_dir))
    door = DOORS[arguments.version](loop, supervisor)
    _take_signals(loop, supervisor)
    arguments.socket.unlink(missing_ok=True)
    for path in sorted(arguments.units.glob("*.yaml")):
        with contextlib.suppress(RefusedError):
            supervisor.monitor(path.stem)
    listener = _listen(arguments.socket)  # as zinit: whoever can connect finds all units read

    def on_connection(_events: int) -> None:
        Client(loop, listener.accept()[0], door)

    loop.watch(listener, selectors.EVENT_READ, on_connection)
    loop.run()
    arguments.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
