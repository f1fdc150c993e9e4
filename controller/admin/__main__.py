"""`ncadm`: the operator's hand on a running controller."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("network", "create, list, show, set, delete networks", "controller.admin.network"),
    Command("member", "see who is in a network; let in, keep out", "controller.admin.member"),
    Command("token", "create, list, show, revoke join tokens", "controller.admin.token"),
    Command("status", "how the controller is", "controller.admin.status"),
)


def main() -> int:
    return run_program("ncadm", "Steers a zosnet controller over its admin socket.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
