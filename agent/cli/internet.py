"""`zosnet-agent internet`: find an uplink and make `zos`; the supervisor runs it at boot."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from typing import get_args

from runtime.failure import Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from agent.cli.patience import add_keep_trying
    from agent.config import Supervisor

    parser.add_argument(
        "--supervisor",
        choices=get_args(Supervisor),
        metavar="NAME",
        help="who keeps the lease keeper running: zinit, systemd, none (default: as agent.yaml says)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only try the targets of `check` in agent.yaml",
    )

    add_keep_trying(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent.boot.status import tell_error
    from agent.cli.patience import start_or_wait
    from runtime.cli import require_root

    if arguments.check:
        require_root("check the targets")
        return _check()
    require_root("start internet")
    tell = _teller()
    return start_or_wait(arguments, lambda: _start(arguments, tell), tell_error)


def _check() -> int:
    from agent.boot.checks import report_targets
    from agent.config import load
    from runtime.log import start_logging

    config = load()
    start_logging(config.log, program="internet")
    answers = asyncio.run(report_targets(config.check))
    for target, said in answers.items():
        print(f"{target}: {said}")
    return Exit.OK if all(a == "ok" for a in answers.values()) else Exit.PROBLEMS


def _start(arguments: argparse.Namespace, tell: Callable[[float, str], None]) -> int:
    from agent.boot.runner import boot
    from agent.boot.supervise import agent_program
    from agent.config import load
    from runtime.log import start_logging

    config = load()
    start_logging(config.log, program="internet")

    async def until_stopped() -> None:
        task = asyncio.current_task()
        if task is not None:  # SIGTERM as Ctrl-C: the NICs go home
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        supervisor = arguments.supervisor or config.supervisor
        await boot(config, supervisor=supervisor, agent=agent_program(), tell=tell)

    try:
        asyncio.run(until_stopped())
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return Exit.OK


def _teller() -> Callable[[float, str], None]:
    """To stderr, as the log: under a supervisor both are the console. What was said last is not
    said again: a boot that cannot start tries each few seconds.
    """
    last = ""

    def tell(seconds: float, said: str) -> None:
        nonlocal last
        if said != last:
            print(f"zosnet {seconds:6.2f} s  {said}", file=sys.stderr, flush=True)
        last = said

    return tell
