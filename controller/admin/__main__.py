"""`ncadm`: the operator's hand on a running controller."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("network", "networks: create, list, show, set, delete", "controller.admin.network"),
    Command(
        "member",
        "members: list, show, set, authorize, deauthorize, ban, forget",
        "controller.admin.member",
    ),
    Command("token", "join strings: create, list, show, revoke", "controller.admin.token"),
    Command("status", "show how the controller is", "controller.admin.status"),
)


def main() -> int:
    return run_program("ncadm", "Steers a zosnet controller over its admin socket.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
