"""The socket by which `zosnet-agent`'s commands talk to the running networkd: a JSON line each way.

    {"verb": "leave", "arguments": {"network": "…"}} → {"result": …} or {"error": …, "hint": …, "code": …}

The client is blocking and loads no asyncio. Only root can open the socket.
"""

import json
import socket
from typing import Any

from runtime.failure import CannotError, Exit
from runtime.paths import RUN

SOCKET = RUN / "networkd.sock"
MAX_LINE = 1 << 20


class NotRunningError(CannotError):
    """There is no networkd to ask."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"cannot {what}: networkd is not running on this node",
            hint="zosnet-agent status says what the node waits for",
            code=Exit.UNREACHABLE,
        )


def is_running() -> bool:
    """Whether a networkd answers on its socket; one that only root may ask counts."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SOCKET))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def ask(verb: str, *, what: str, timeout: float = 10.0, **arguments: Any) -> Any:
    """The result of `verb`; `what` completes "cannot …" when nobody answers.

    Raises NotRunningError, or CannotError with what networkd said.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(SOCKET))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunningError(what) from error
        except PermissionError as error:
            raise CannotError(
                f"cannot {what}: not root", hint="run it with sudo", code=Exit.DENIED
            ) from error
        request = {"verb": verb, "arguments": arguments}
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline(MAX_LINE)
        except (TimeoutError, ConnectionError) as error:
            raise CannotError(
                f"cannot {what}: networkd gave no answer within {timeout:g} s",
                code=Exit.UNREACHABLE,
            ) from error
    if not line:
        raise CannotError(f"cannot {what}: networkd closed the connection", code=Exit.UNREACHABLE)
    answer = json.loads(line)
    if "error" in answer:
        raise CannotError(
            answer["error"], hint=answer.get("hint"), code=Exit(answer.get("code", Exit.INTERNAL))
        )
    return answer.get("result")
