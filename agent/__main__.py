"""`zosnet-agent`: the program on the node."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("status", "what this node has: uplink, ndmz, networks, peers", "agent.cli.status"),
    Command(
        "why", "why something is as it is: the uplink, ndmz, a network, a peer", "agent.cli.why"
    ),
    Command("wait", "wait until the node has an uplink, ndmz or its overlay", "agent.cli.wait"),
    Command("join", "join a network with a join string from a file or stdin", "agent.cli.join"),
    Command("leave", "leave a network for good", "agent.cli.leave"),
    Command("plan", "show which uplink `internet` would choose, touch nothing", "agent.cli.plan"),
    Command("install", "write the units that start zosnet at boot", "agent.cli.install"),
    Command("reset", "take away all that zosnet made on this node", "agent.cli.reset"),
    Command(
        "internet",
        "find an uplink and make `zos` (run by the supervisor at boot)",
        "agent.cli.internet",
    ),
    Command("dhcp", "keep the lease of a link (run by the supervisor)", "agent.cli.dhcp"),
    Command("networkd", "keep ndmz and the overlay (run by the supervisor)", "agent.cli.networkd"),
)


def main() -> int:
    return run_program(
        "zosnet-agent", "From power-on to a signed place in the overlay network.", COMMANDS
    )


if __name__ == "__main__":
    sys.exit(main())
