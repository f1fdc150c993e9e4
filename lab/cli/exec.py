"""`zosnet-lab exec MACHINE COMMAND…`: run a command in a machine of a farm, with this terminal."""

import argparse
import os

from lab import record
from lab.host import ENVIRONMENT
from runtime.cli import require_root, require_tool
from runtime.failure import CannotError, Exit

EXAMPLES = (
    "zosnet-lab exec n2 zosnet-agent status",
    "zosnet-lab exec --in ndmz n2 ip route",
    "zosnet-lab exec ctl ncadm member list home",
    "zosnet-lab exec n2 bash",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="farm", help="which farm (default: farm)")
    parser.add_argument(
        "--in", dest="namespace", metavar="NAMESPACE", help="in this namespace of the machine"
    )
    parser.add_argument("machine", metavar="MACHINE", help="n1, n2, n3, ctl, inet, r-a, …")
    parser.add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="COMMAND", help="a program and its arguments"
    )


def run(arguments: argparse.Namespace) -> int:
    require_root("enter a farm")
    argv = arguments.argv
    if not argv:
        raise CannotError(
            f"cannot run nothing on {arguments.machine}",
            hint="zosnet-lab exec n2 zosnet-agent status",
            code=Exit.USAGE,
        )
    nsenter = require_tool("nsenter", package="util-linux", what="enter a farm")
    machine = record.find_machine(record.find(arguments.name), arguments.machine)
    if arguments.namespace:
        argv = ["ip", "netns", "exec", arguments.namespace, *argv]
    environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
    spaces = ["--mount", "--net", "--uts", "--ipc", "--pid"]
    words = [nsenter, "--target", str(machine.pid), *spaces, "--", *argv]
    os.execve(nsenter, words, environment)  # noqa: S606  # it takes over this terminal
