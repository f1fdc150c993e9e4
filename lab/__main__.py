"""`zosnet-lab`: a farm on this machine, in a world that leaves nothing behind."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command(
        "demo", "a farm from power-on to the overlay, with checks and a report", "lab.cli.demo"
    ),
    Command("up", "make a farm and leave it in the background", "lab.cli.up"),
    Command("status", "what the nodes of a farm in the background have", "lab.cli.status"),
    Command("exec", "run a command in a machine of a farm", "lab.cli.exec"),
    Command("down", "end a farm in the background", "lab.cli.down"),
)


def main() -> int:
    return run_program("zosnet-lab", "A whole farm on this machine.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
