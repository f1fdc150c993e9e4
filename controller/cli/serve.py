"""`zosnet-controller serve`: open everything, or say what is wrong; then run until SIGTERM."""

import argparse
import logging
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from controller import config
from controller.database import Lock
from controller.opening import open_registry
from controller.server import Server
from controller.sockets import limit_memory
from runtime.failure import CannotError, Exit
from runtime.log import start_logging

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=config.CONFIG_FILE, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    directory = Path(settings.log.directory) if settings.log.directory else None
    start_logging(settings.log.level, program="zosnet-controller", directory=directory)
    if not settings.database.exists():
        raise CannotError(
            f"cannot serve: there is no controller in {settings.directory}",
            hint="make one with: zosnet-controller init --endpoint tcp://ADDRESS:9930",
            code=Exit.USAGE,
        )
    lock = Lock(settings.directory)
    try:
        limit_memory(settings.memory_mib)
        registry = open_registry(settings)
        server = Server(settings, registry)
        server.ensure_networks(settings.networks)
        server.stop_at_signals()
        log.info(
            "controller started",
            extra={
                "controller": registry.controller,
                "listen": ",".join(settings.listen),
                "networks": len(registry.networks),
            },
        )
        try:
            server.run()
        except DBAPIError as error:
            raise CannotError(
                f"cannot use {settings.database}: {error.orig}",
                hint="stop it and look: zosnet-controller check",
                code=Exit.PROBLEMS,
            ) from error
        registry.connection.close()
        log.info("controller stopped")
    finally:
        lock.release()
    return Exit.OK
