"""`zosnet-agent reset`: take away all that zosnet made on this node; the NICs come home."""

import argparse
import asyncio
import shutil
import sys

from runtime.failure import CannotError, Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="also its key, leases and memberships: afterwards it is a new node",
    )


def run(arguments: argparse.Namespace) -> int:
    from runtime.cli import require_root

    require_root("reset this node")
    if not arguments.yes:
        _ask(forget=arguments.forget)
    done = asyncio.run(_reset())
    print("\n".join(done) or "nothing of zosnet was here")
    if arguments.forget:
        from runtime.paths import STATE

        shutil.rmtree(STATE, ignore_errors=True)
        print(f"{STATE} is gone")
    return Exit.OK


def _ask(*, forget: bool) -> None:
    if not sys.stdin.isatty():
        raise CannotError(
            "cannot reset this node: it ends its network and nobody is here to ask",
            hint="zosnet-agent reset --yes",
            code=Exit.USAGE,
        )
    what = "All overlay networks and the uplink end"
    if forget:
        what += ", and its key and memberships are lost"
    if input(f"{what}. Type yes: ").strip() != "yes":
        raise CannotError("cannot reset this node: not confirmed", code=Exit.USAGE)


async def _reset() -> list[str]:
    from agent.boot.runner import alone
    from agent.cleaning import remove_everything, stop_services

    said = await asyncio.to_thread(stop_services)
    with alone("reset this node"):
        return said + await remove_everything()
