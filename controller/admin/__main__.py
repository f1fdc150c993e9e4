"""`ncadm`: the operator's hand on a running controller."""

import sys
from typing import Any

from runtime.cli import Command, run_program

COMMANDS = (
    Command(
        "network", "networks: create, list, show, set, give, delete", "controller.admin.network"
    ),
    Command(
        "member",
        "members: list, show, add, adopt, set, authorize, deauthorize, ban, unban, forget",
        "controller.admin.member",
    ),
    Command("pool", "ranges: add, list, usage, set, remove", "controller.admin.pool"),
    Command(
        "prefix", "prefix pools: add, remove, show, list, lease, release", "controller.admin.prefix"
    ),
    Command("token", "join strings: create, list, show, revoke, prune", "controller.admin.token"),
    Command("audit", "who did what: list, verify, export", "controller.admin.audit"),
    Command(
        "key",
        "keys: list, show, rotate, retire, offline-root, export, import; admin",
        "controller.admin.key",
    ),
    Command("keygen", "make a key of your own", "controller.admin.keygen"),
    Command("config", "settings: check", "controller.admin.config"),
    Command(
        "export",
        "write networks, members and users as the Redis schema",
        "controller.admin.exporting",
    ),
    Command("import", "take over what export or Redis has written", "controller.admin.importing"),
    Command("status", "show how the controller is", "controller.admin.status"),
    Command("watch", "show what happens, as it happens", "controller.admin.watch"),
)


def names(metavar: str, place: Any) -> Any:
    """For the completion of a shell."""
    from controller.admin.names import names as find

    return find(metavar, place)


def main() -> int:
    said = "Steers a zosnet controller over its admin socket."
    return run_program("ncadm", said, COMMANDS, names=names)


if __name__ == "__main__":
    sys.exit(main())
