"""`zosnet-lab`: a farm on this machine, in a world that leaves nothing behind."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("demo", "show a farm from power-on to the overlay, and check it", "lab.cli.demo"),
    Command("up", "make a farm and leave it up", "lab.cli.up"),
    Command("status", "show what the nodes of a farm have", "lab.cli.status"),
    Command("exec", "run a command on a machine of a farm", "lab.cli.exec"),
    Command("down", "end a farm; nothing of it is left", "lab.cli.down"),
)


def main() -> int:
    return run_program("zosnet-lab", "A whole farm on this machine.", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
