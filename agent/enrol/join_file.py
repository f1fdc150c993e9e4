"""`join` and `farm` of the config: how a node gets into its farm with nobody at its keyboard.

    take_join_file(store, Path("/boot/join"), farm="d3f8eaaefd")     # before enrolment starts

Taken while the node is in no farm. What is wrong with the file is a problem that `status` shows.
"""

from pathlib import Path

from agent.enrol.store import Store
from protocol.ids import controller_id
from protocol.joinstring import JoinString, parse_join_string
from runtime.failure import CannotError, Exit

MAX_SIZE = 4096  # bytes; a join string has some 300


def take_join_file(store: Store, path: Path, *, farm: str) -> None:
    """As `zosnet-agent join` would. The file may stay there: it is not taken twice."""
    if any(store.farms()):
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_SIZE)
        join = parse_join_string(text)
        check_farm(join, farm)
        store.keep_join(join, text)
    except CannotError as error:
        store.complain(path, error.message, error.hint or "")
    except OSError as error:
        reason = f"cannot read the join string from {path}: {error.strerror}"
        store.complain(path, reason, "see `join` in agent.yaml, or: zosnet-agent join FILE")


def check_farm(join: JoinString, farm: str) -> None:
    """Raises CannotError when the node is meant for another farm; "" is any."""
    found = controller_id(join.root)
    if farm not in ("", found):
        raise CannotError(
            f"cannot join farm {found}: this node is for farm {farm}",
            hint="`farm` in agent.yaml or on the kernel's command line says so",
            code=Exit.DENIED,
        )
