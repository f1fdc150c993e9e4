"""`zosnet-controller serve`: open everything, or say what is wrong; then run until SIGTERM."""

import argparse
import gc
import logging
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from controller import config
from controller.front.sockets import limit_memory
from controller.opening import open_registry
from controller.server import Server, signals_waiting
from controller.store.database import Lock
from runtime.config import ConfigError
from runtime.failure import CannotError, Exit, with_hint
from runtime.log import start_logging

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    start_logging(settings.log, program="zosnet-controller")
    try:
        _serve(settings, arguments.config)
    except CannotError as error:
        if settings.log.path is not None:  # stderr gets it in any case
            log.error(with_hint(error.message, error.hint))  # noqa: TRY400  # a sentence for people
        raise
    return Exit.OK


def _serve(settings: config.Config, named: Path | None) -> None:
    settings.require_made("serve")
    lock = Lock(settings.directory)
    try:
        limit_memory(settings.memory_mib)
        registry = open_registry(settings)
        with signals_waiting():  # whoever sees it listen may end it
            server = Server(settings, registry)
            _make_networks(server, settings, named)
            server.stop_at_signals()
        log.info(
            "controller started",
            extra={
                "controller": registry.controller,
                "listen": ",".join(settings.listen),
                "networks": len(registry.networks),
            },
        )
        _calm_collector()
        _run(server, settings)
        registry.connection.close()
        log.info("controller stopped")
    finally:
        lock.release()


def _calm_collector() -> None:
    """The collector's own pace is made for small programs: a sixth of a batch's time went into
    looking at what lives for long anyway. What was imported and read so far is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _run(server: Server, settings: config.Config) -> None:
    try:
        server.run()
    except DBAPIError as error:
        raise CannotError(
            f"cannot use {settings.database}: {error.orig}",
            hint="stop it and look: zosnet-controller check",
            code=Exit.PROBLEMS,
        ) from error


def _make_networks(server: Server, settings: config.Config, named: Path | None) -> None:
    try:
        server.ensure_networks(settings.networks)
    except CannotError as error:
        server.close()
        if error.code != Exit.USAGE:
            raise
        path = named or config.CONFIG_FILE
        raise ConfigError(path, f"networks: {error.message}", hint=error.hint) from error
