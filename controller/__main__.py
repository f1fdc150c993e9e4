"""`zosnet-controller`: make a controller, run it, look whether its database is sound."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("init", "make a controller: keys and database", "controller.cli.init"),
    Command("serve", "run it: admit nodes, assign addresses, sign", "controller.cli.serve"),
    Command("install", "have zinit or systemd run it", "controller.cli.install"),
    Command("uninstall", "stop it and remove its unit", "controller.cli.uninstall"),
    Command("sign", "sign a keyset with an offline root key", "controller.cli.sign"),
    Command("check", "check whether database and audit log are sound", "controller.cli.check"),
)


def main() -> int:
    return run_program(
        "zosnet-controller",
        "Admits nodes to networks, assigns their addresses and signs for them.",
        COMMANDS,
    )


if __name__ == "__main__":
    sys.exit(main())
