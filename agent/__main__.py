"""`zosnet-agent`: the program on the node."""

import sys
from typing import Any

from runtime.cli import Command, run_program

COMMANDS = (
    Command("status", "show what this node has and what it waits for", "agent.cli.status"),
    Command("why", "show why: the uplink, ndmz, a network, a peer", "agent.cli.why"),
    Command(
        "doctor", "look whether this machine can be a node; change nothing", "agent.cli.doctor"
    ),
    Command("wait", "wait until there is an uplink, ndmz or overlay", "agent.cli.wait"),
    Command("join", "join a network with a join string", "agent.cli.join"),
    Command("leave", "leave a network for good", "agent.cli.leave"),
    Command("token", "let another node in (members with the role mint)", "agent.cli.token"),
    Command("nr", "network resources by hand: networks of this node's own", "agent.cli.nr"),
    Command("key", "print this node's public key", "agent.cli.key"),
    Command("rotate-key", "give this node another key; all else stays", "agent.cli.rotate_key"),
    Command("plan", "show what a start would choose and change; touch nothing", "agent.cli.plan"),
    Command("install", "set this node up: key, units, start", "agent.cli.install"),
    Command("uninstall", "stop the services and remove their units", "agent.cli.uninstall"),
    Command("reset", "take away all that zosnet made on this node", "agent.cli.reset"),
    Command(
        "internet", "find an uplink and make zos (the supervisor runs it)", "agent.cli.internet"
    ),
    Command("dhcp", "keep the lease of a link (the supervisor runs it)", "agent.cli.dhcp"),
    Command("networkd", "keep ndmz and overlay (the supervisor runs it)", "agent.cli.networkd"),
)


def names(metavar: str, place: Any) -> Any:
    """For the completion of a shell."""
    from agent.cli.names import names as find  # noqa: PLC0415  # only then

    return find(metavar, place)


def main() -> int:
    said = "From power-on to a signed place in the overlay network."
    return run_program("zosnet-agent", said, COMMANDS, names=names)


if __name__ == "__main__":
    sys.exit(main())
