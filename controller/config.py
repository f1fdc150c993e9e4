"""controller.yaml, strict; every key has a default, so no file at all is a config too.

data: /var/lib/zosnet/controller       # database and keys
listen: ["tcp://*:9930"]               # where nodes connect
endpoints: ["tcp://203.0.113.10:9930"] # how nodes reach it: goes into join strings
socket: /run/zosnet/controller/admin.sock   # where ncadm connects
admin_listen: ["tcp://192.0.2.1:9931"] # where ncadm connects from elsewhere, with an admin key; none
networks: [{name: home, ipv4: 10.9.0.0/16}]   # made at start when they do not exist; see settings
pending: {per_network: 1000, in_all: 10000, days: 7}   # nodes that wait to be authorized
log: {level: info, directory: /var/log/zosnet}
audit: {keep_days: 365}                # 0: for ever
"""

import argparse
import re
from pathlib import Path
from typing import Annotated

import msgspec

from controller.settings import Wanted
from protocol.joinstring import MAX_CONTROLLERS
from runtime import paths
from runtime.config import ConfigError, LogConfig, load_config
from runtime.failure import CannotError, Exit

PORT = 9930
ADMIN_PORT = 9931
CONFIG_FILE = paths.CONFIG / "controller.yaml"
SOCKET_PATH_MAX = 107  # sun_path and its end
_ENDPOINT = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+|\*):(\d{1,5})\Z")


class NetworkConfig(Wanted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys that are given hold at each start; the ranges only when the network is made."""

    name: str
    ipv4: str | tuple[str, ...] = ""
    ipv6: str | tuple[str, ...] = ""
    owner: str = ""


class AuditConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500, extra={"unit": "days"})] = 365


_NODES = msgspec.Meta(ge=0, le=1_000_000, extra={"unit": "nodes"})


class PendingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members that wait to be authorized: how many at most, and after how long they go."""

    per_network: Annotated[int, _NODES] = 1000
    in_all: Annotated[int, _NODES] = 10_000
    days: Annotated[int, msgspec.Meta(ge=1, le=366, extra={"unit": "days"})] = 7


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    data: str = str(paths.STATE / "controller")
    listen: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)] = (
        f"tcp://*:{PORT}",
    )
    endpoints: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_CONTROLLERS)] = ()
    socket: str = str(paths.RUN / "controller/admin.sock")
    admin_listen: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    networks: Annotated[tuple[NetworkConfig, ...], msgspec.Meta(max_length=256)] = ()
    pending: PendingConfig = PendingConfig()
    log: LogConfig = LogConfig()
    audit: AuditConfig = AuditConfig()
    # Address space: who finds a way to fill it ends the controller, not the machine.
    memory_mib: Annotated[int, msgspec.Meta(ge=256, extra={"unit": "MiB"})] = 4096

    @property
    def directory(self) -> Path:
        return Path(self.data)

    @property
    def database(self) -> Path:
        return self.directory / "zosnet.db"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    def require_made(self, what: str) -> None:
        """Raises CannotError `cannot WHAT` before `init` was here."""
        if not self.database.exists():
            raise CannotError(
                f"cannot {what}: there is no controller in {self.directory}",
                hint="make one with: zosnet-controller init --endpoint tcp://ADDRESS:9930",
                code=Exit.USAGE,
            )


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
    for key, value in (("data", config.data), ("socket", config.socket)):
        if not value.startswith("/"):
            default = getattr(Config(), key)
            raise ConfigError(
                path, f"{key}: {value!r} does not begin with /", hint=f"such as {default}"
            )
    if len(config.socket.encode()) > SOCKET_PATH_MAX:
        raise ConfigError(
            path,
            f"socket: at most {SOCKET_PATH_MAX} bytes are a socket's path",
            hint=f"such as {Config().socket}",
        )
    for key, endpoints, port in (
        ("listen", config.listen, PORT),
        ("admin_listen", config.admin_listen, ADMIN_PORT),
    ):
        for endpoint in endpoints:
            if not is_endpoint(endpoint):
                raise ConfigError(
                    path, f"{key}: {endpoint!r} is no endpoint", hint=f"such as tcp://*:{port}"
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
