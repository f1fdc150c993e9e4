"""`zosnet-agent` that kills itself after a named step: `agent_dies.py STEP NUMBER VERB…`.

A step is a function that changes the kernel or the disk, as named in STEPS; the program dies when it
has done something for the NUMBER-th time. With NUMBER 0 it lives, and prints each step.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from agent.__main__ import main
from netns import sysctl
from netns.netlink import Netlink
from netns.nft import Nft
from netns.spaces import Spaces
from runtime import files

STEPS: dict[str, tuple[Any, str]] = {
    "namespace": (Spaces, "_ensure"),
    "bridge": (Netlink, "add_bridge"),
    "veth": (Netlink, "add_veth"),
    "link set": (Netlink, "set_link"),
    "address": (Netlink, "replace_address"),
    "route": (Netlink, "replace_route"),
    "settings": (sysctl, "_set_all"),
    "rules": (Nft, "_run"),
    "file": (files, "write_atomic"),
}


class Call(NamedTuple):
    arguments: tuple[Any, ...]
    options: dict[str, Any]


def main_that_dies(step: str, number: int) -> int:
    passed: Counter[str] = Counter()

    def tell(name: str, call: Call, result: object) -> None:
        if not is_step(name, call, result):
            return
        passed[name] += 1
        if not number:
            print("step", name, flush=True)
        elif (name, passed[name]) == (step, number):
            os.kill(os.getpid(), signal.SIGKILL)

    for name, (owner, function) in STEPS.items():
        setattr(owner, function, followed(getattr(owner, function), name, tell))
    return main()


def is_step(name: str, call: Call, result: object) -> bool:
    """Not a look that changed nothing, nor a report that is written again and again."""
    match name:
        case "rules":
            return not call.arguments[1].startswith("list")
        case "file":
            return bool(call.options.get("durable", True))
        case _:
            return result not in (False, [])


def followed(whole: Callable[..., Any], name: str, tell: Callable[..., None]) -> Callable[..., Any]:
    """`whole`, and `tell` after it, whether one awaits it or not."""

    def step(*arguments: Any, **options: Any) -> Any:
        call, result = Call(arguments, options), whole(*arguments, **options)
        if isinstance(result, Awaitable):
            return ended(result, call)
        tell(name, call, result)
        return result

    async def ended(running: Awaitable[Any], call: Call) -> Any:
        result = await running
        tell(name, call, result)
        return result

    return step


if __name__ == "__main__":
    at, count = sys.argv.pop(1), int(sys.argv.pop(1))
    sys.exit(main_that_dies(at, count))
