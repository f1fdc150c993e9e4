"""controller.yaml, strict; every key has a default, so no file at all is a config too.

data: /var/lib/zosnet/controller       # database and keys
listen: ["tcp://*:9930"]               # where nodes connect
endpoints: ["tcp://203.0.113.10:9930"] # how nodes reach it: goes into join strings
socket: /run/zosnet/controller.sock    # where ncadm connects
networks: [{name: home, ipv4: 10.9.0.0/16}]   # made at start when they do not exist
log: {level: info, directory: /var/log/zosnet}
"""

import argparse
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from protocol.joinstring import MAX_CONTROLLERS
from runtime import paths
from runtime.config import ConfigError, load_config

PORT = 9930
CONFIG_FILE = paths.CONFIG / "controller.yaml"
_ENDPOINT = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+|\*):(\d{1,5})\Z")


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    directory: str = ""


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    ipv4: str = ""
    ipv6: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    data: str = str(paths.STATE / "controller")
    listen: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)] = (
        f"tcp://*:{PORT}",
    )
    endpoints: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_CONTROLLERS)] = ()
    socket: str = str(paths.RUN / "controller.sock")
    networks: Annotated[tuple[NetworkConfig, ...], msgspec.Meta(max_length=256)] = ()
    log: LogConfig = LogConfig()
    memory_mib: Annotated[int, msgspec.Meta(ge=256)] = 4096

    @property
    def directory(self) -> Path:
        return Path(self.data)

    @property
    def database(self) -> Path:
        return self.directory / "zosnet.db"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"


def add_config(parser: argparse.ArgumentParser) -> None:
    """The `--config FILE` that every command has."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"its settings (default: {CONFIG_FILE})"
    )


def load(named: Path | None = None) -> Config:
    """The config in the file that somebody named, which must be there, or in CONFIG_FILE.

    Raises ConfigError.
    """
    path = named or CONFIG_FILE
    config = load_config(path, Config, must_exist=named is not None)
    if not config.data:
        raise ConfigError(path, "data: it is empty", hint=f"such as {paths.STATE / 'controller'}")
    for endpoint in config.listen:
        if not is_endpoint(endpoint):
            raise ConfigError(
                path, f"listen: {endpoint!r} is no endpoint", hint=f"such as tcp://*:{PORT}"
            )
    for endpoint in config.endpoints:
        if not is_advertisable(endpoint):
            raise ConfigError(
                path,
                f"endpoints: {endpoint!r} is no endpoint that nodes can connect to",
                hint=f"such as tcp://203.0.113.10:{PORT}",
            )
    return config


def is_endpoint(text: str) -> bool:
    """`tcp://host:port`, where host is a name, an address or `*`."""
    match = _ENDPOINT.match(text)
    return match is not None and 0 < int(match[2]) < 65536


def is_advertisable(text: str) -> bool:
    """An endpoint that somebody else can connect to."""
    return is_endpoint(text) and "*" not in text and len(text) < 256
