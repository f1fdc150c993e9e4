"""`zosnet-agent networkd`: keep ndmz and the overlay; the supervisor runs it after `internet`."""

import argparse
import asyncio
import signal

from runtime.failure import Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from agent.cli.patience import add_keep_trying

    add_keep_trying(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent.cli.patience import start_or_wait
    from agent.status import tell_waiting
    from runtime.cli import require_root

    require_root("start networkd")
    return start_or_wait(arguments, _start, tell_waiting)


def _start() -> int:
    from agent.config import load
    from runtime.log import start_logging

    config = load()
    start_logging(config.log, program="networkd")

    from agent.networkd import keep_node

    async def until_stopped() -> None:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await keep_node(config)

    try:
        asyncio.run(until_stopped())
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return Exit.OK
