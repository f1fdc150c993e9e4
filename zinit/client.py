"""A client for zinit's socket: asks, waits at most 3 s, says clearly what went wrong.

    client = Client()
    if client.status("dhcp-zos") is None: ...
    client.monitor("dhcp-zos")

Two languages are spoken by what calls itself zinit 0.2: up to 0.2.14 a text line a connection,
then JSON-RPC. Which one is found out by asking `rpc.discover`: the older one answers that with an
error at once, while the newer one would never answer a bare word. Up to 0.2.27 JSON-RPC only says
that a request is refused: why is then found out by looking. Blocking; no retry.

Errors: ZinitError > AbsentError (nobody listens), UnknownServiceError, AlreadyMonitoredError,
ServiceUpError, ServiceDownError.
"""

import errno
import json
import re
import socket
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from runtime.failure import CannotError, Exit
from zinit.units import check_name

SOCKET = Path("/var/run/zinit.sock")
TIMEOUT_S = 3.0
MOST_BYTES = 4 * 1024 * 1024  # of an answer


class ZinitError(CannotError):
    """zinit did not do what it was asked for."""


class AbsentError(ZinitError):
    """Nobody listens: there is no zinit on this machine, or it does not run."""


class UnknownServiceError(ZinitError):
    """zinit monitors no service of this name."""


class AlreadyMonitoredError(ZinitError):
    """`monitor` of a service that zinit knows: it has not read the file again."""


class ServiceUpError(ZinitError):
    """`forget` of a service that runs or shall run."""


class ServiceDownError(ZinitError):
    """`kill` of a service that has no process."""


class State(StrEnum):
    """Ended states of a service that is no oneshot last for the 2 s before its next start."""

    UNKNOWN = "Unknown"
    BLOCKED = "Blocked"
    SPAWNED = "Spawned"
    RUNNING = "Running"
    SUCCESS = "Success"
    ERROR = "Error"
    TEST_FAILURE = "TestFailure"
    FAILURE = "Failure"


class Status(Struct, frozen=True):
    """A service; `pid` is 0 without a process, `detail` says how it ended: "Exited(Pid(7), 1)"."""

    name: str
    pid: int
    state: State
    detail: str
    target_up: bool
    after: dict[str, State]


class Language(StrEnum):
    LINE = "a line a connection (0.2.0 to 0.2.14)"
    JSON_RPC = "JSON-RPC (0.2.15 to 0.2.28)"


class Client:
    """Asks the daemon at `path`; each question is a connection of its own."""

    def __init__(self, path: Path = SOCKET, *, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._language: Language | None = None

    def language(self) -> Language:
        """What the daemon speaks, asked once."""
        if self._language is None:
            said = self._exchange(_rpc_request("rpc.discover", ()), _is_answer, "ask")
            newer = isinstance(said, dict) and "jsonrpc" in said
            self._language = Language.JSON_RPC if newer else Language.LINE
        return self._language

    def list(self) -> dict[str, State]:
        said = self._ask("list")
        if not isinstance(said, dict):
            raise self._not_understood("list", said)
        return {name: self._state(text)[0] for name, text in said.items()}

    def status(self, name: str) -> Status | None:
        """What the service does, or None when zinit does not know it."""
        try:
            said = self._ask("status", name)
        except UnknownServiceError:
            return None
        try:
            state, detail = self._state(said["state"])
            after = {other: self._state(text)[0] for other, text in said["after"].items()}
            return Status(name, int(said["pid"]), state, detail, said["target"] == "Up", after)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self._not_understood("status", said) from error

    def monitor(self, name: str) -> None:
        """Read the unit file and start it. A file that zinit rejects is a ZinitError."""
        self._ask("monitor", name)

    def start(self, name: str) -> None:
        """Target Up; returns at once."""
        self._ask("start", name)

    def stop(self, name: str) -> None:
        """Target Down and the stop signal to its process group; 0.2.11 does not wait."""
        self._ask("stop", name)

    def forget(self, name: str) -> None:
        """Take it off zinit's list; only when its target is Down and it has no process."""
        self._ask("forget", name)

    def kill(self, name: str, signal_name: str) -> None:
        """Send a signal ("SIGKILL") to the process group."""
        self._ask("kill", name, signal_name)

    def log(self, name: str) -> tuple[str, ...]:
        """The lines that zinit holds of what the service printed, oldest first."""
        check_name(name)
        if self.language() is Language.JSON_RPC:
            lines = self._ask_rpc("stream_currentLogs", "log", (name,))
        else:
            text = self._talk(b"log snapshot\n", _is_closed, "log")
            lines = text.decode(errors="replace").split("\n")
        mark = f"{name}: "  # after "[+] " or, from stderr, "[-] "
        return tuple(line[4:].removeprefix(mark) for line in lines if line.startswith(mark, 4))

    def _ask(self, verb: str, *arguments: str) -> Any:
        for name in arguments[:1]:
            check_name(name)
        match self.language():
            case Language.LINE:
                return self._ask_line(verb, arguments)
            case Language.JSON_RPC:
                return self._ask_rpc(f"service_{verb}", verb, arguments)

    def _ask_line(self, verb: str, arguments: tuple[str, ...]) -> Any:
        request = " ".join((verb, *arguments)).encode() + b"\n"
        said = self._exchange(request, _is_closed, verb)
        match said:
            case {"state": "ok", "body": body}:
                return body
            case {"state": "error", "body": str(reason)}:
                raise self._refused(verb, arguments, reason, _line_error(reason))
            case _:
                raise self._not_understood(verb, said)

    def _ask_rpc(self, method: str, verb: str, arguments: tuple[str, ...]) -> Any:
        said = self._exchange(_rpc_request(method, arguments), _is_answer, verb)
        match said:
            case {"error": {"code": int(code), "message": str(reason), "data": _}}:
                raise self._refused(verb, arguments, reason, _RPC_ERRORS.get(code, ZinitError))
            case {"error": {"message": str(reason)}}:
                raise self._refused(verb, arguments, reason, self._find_reason(verb, arguments))
            case {"result": result}:
                return result
            case _:
                raise self._not_understood(verb, said)

    def _find_reason(self, verb: str, arguments: tuple[str, ...]) -> type[ZinitError]:
        """What zinit 0.2.15 to 0.2.27 do not tell."""
        if not arguments:
            return ZinitError
        name = arguments[0]
        known = name in self.list()
        match verb:
            case "monitor":
                return AlreadyMonitoredError if known else ZinitError
            case _ if not known:
                return UnknownServiceError
            case "forget":
                return ServiceUpError
            case "kill" if (status := self.status(name)) is not None and not status.pid:
                return ServiceDownError
            case _:
                return ZinitError

    def _exchange(self, request: bytes, complete: Callable[[bytes, bool], bool], verb: str) -> Any:
        """Send, and decode the JSON of the answer."""
        got = self._talk(request, complete, verb)
        try:
            return json.loads(got)
        except ValueError as error:
            raise self._not_understood(verb, got[:200].decode(errors="replace")) from error

    def _talk(self, request: bytes, complete: Callable[[bytes, bool], bool], verb: str) -> bytes:
        """Send, and read until the answer is `complete`."""
        until = time.monotonic() + self._timeout_s
        got = b""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self._timeout_s)
                connection.connect(str(self._path))
                connection.sendall(request)
                closed = False
                while not complete(got, closed) and not closed:
                    connection.settimeout(max(0.001, until - time.monotonic()))
                    data = connection.recv(65536)
                    got, closed = got + data, not data
                    if len(got) > MOST_BYTES:
                        raise self._not_understood(verb, f"more than {MOST_BYTES} bytes")
        except OSError as error:
            raise self._unreachable(verb, error) from error
        return got

    def _unreachable(self, verb: str, error: OSError) -> ZinitError:
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
            return AbsentError(
                f"cannot reach zinit: nobody listens on {self._path}",
                hint="on a machine without zinit: --supervisor none",
                code=Exit.UNREACHABLE,
            )
        if isinstance(error, TimeoutError | BlockingIOError):  # EAGAIN: its queue is full
            return ZinitError(
                f"cannot {verb} with zinit: no answer on {self._path} in {self._timeout_s:g} s",
                hint="zinit hangs, or something else has taken its socket",
                code=Exit.UNREACHABLE,
            )
        return ZinitError(
            f"cannot reach zinit on {self._path}: {error.strerror or error}",
            hint="only root may open it" if error.errno in (errno.EACCES, errno.EPERM) else None,
            code=Exit.UNREACHABLE,
        )

    def _refused(
        self, verb: str, arguments: tuple[str, ...], reason: str, kind: type[ZinitError]
    ) -> ZinitError:
        code = Exit.NOT_FOUND if kind is UnknownServiceError else Exit.CONFLICT
        return kind(f"cannot {' '.join((verb, *arguments))}: zinit says: {reason}", code=code)

    def _not_understood(self, verb: str, said: Any) -> ZinitError:
        return ZinitError(
            f"cannot {verb} with zinit: {self._path} answers {said!r:.200}",
            hint="zosnet speaks with zinit 0.2.0 to 0.2.28; 0.3 is another program",
            code=Exit.UNREACHABLE,
        )

    def _state(self, text: str) -> tuple[State, str]:
        """`Error(Exited(Pid(7), 1))` as ERROR and what stands between the outer brackets."""
        word, _, detail = text.partition("(")
        try:
            return State(word), detail.removesuffix(")")
        except ValueError as error:
            raise self._not_understood("read a state", text) from error


# The line protocol has no codes: its text is all there is to tell errors apart, and 0.2.11, which
# will not change any more, has these.
_LINE_ERRORS: tuple[tuple[str, type[ZinitError]], ...] = (
    (r'service name ".*" unknown', UnknownServiceError),
    (r'service ".*" already monitored', AlreadyMonitoredError),
    (r'service ".*" is up', ServiceUpError),
    (r'service ".*" is down', ServiceDownError),
)
_RPC_ERRORS: dict[int, type[ZinitError]] = {
    -32000: UnknownServiceError,
    -32001: AlreadyMonitoredError,
    -32002: ServiceUpError,
    -32003: ServiceDownError,
}


def _line_error(reason: str) -> type[ZinitError]:
    for pattern, kind in _LINE_ERRORS:
        if re.fullmatch(pattern, reason):
            return kind
    return ZinitError


def _rpc_request(method: str, params: tuple[str, ...]) -> bytes:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def _is_closed(_got: bytes, closed: bool) -> bool:
    return closed


def _is_answer(got: bytes, closed: bool) -> bool:
    """JSON-RPC ends an answer with a newline and keeps the connection."""
    return closed or got.endswith(b"\n")
