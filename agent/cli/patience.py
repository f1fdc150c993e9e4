"""`--keep-trying`, which the units have: wait in the process until what is in the way is mended."""

import argparse
from collections.abc import Callable

from runtime.alone import BusyError
from runtime.failure import CannotError


def add_keep_trying(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep-trying",
        action="store_true",
        help="when something is in the way, log it once and wait until it is mended",
    )


def start_or_wait(
    arguments: argparse.Namespace,
    start: Callable[[], int],
    tell: Callable[[CannotError], None] = lambda _: None,
) -> int:
    """What `start` returns. `tell` writes down for the other commands why it cannot."""
    if arguments.keep_trying:
        from agent.patience import keep_trying
        from runtime.log import start_logging

        start_logging()  # the config, which says how, may be what is in the way
        return keep_trying(start, tell)
    try:
        return start()
    except BusyError:  # the one that runs says how it goes
        raise
    except CannotError as error:
        tell(error)
        raise
