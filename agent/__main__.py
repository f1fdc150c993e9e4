"""`zosnet-agent`: the program on the node."""

import sys

from runtime.cli import Command, run_program

COMMANDS = (
    Command("status", "show what this node has and what it waits for", "agent.cli.status"),
    Command("why", "show why: the uplink, ndmz, a network, a peer", "agent.cli.why"),
    Command("wait", "wait until there is an uplink, ndmz or overlay", "agent.cli.wait"),
    Command("join", "join a network with a join string", "agent.cli.join"),
    Command("leave", "leave a network for good", "agent.cli.leave"),
    Command("plan", "show which uplink a boot would choose; touch nothing", "agent.cli.plan"),
    Command("install", "set this node up: key, units, start", "agent.cli.install"),
    Command("reset", "take away all that zosnet made on this node", "agent.cli.reset"),
    Command(
        "internet", "find an uplink and make zos (the supervisor runs it)", "agent.cli.internet"
    ),
    Command("dhcp", "keep the lease of a link (the supervisor runs it)", "agent.cli.dhcp"),
    Command("networkd", "keep ndmz and overlay (the supervisor runs it)", "agent.cli.networkd"),
)


def main() -> int:
    return run_program(
        "zosnet-agent", "From power-on to a signed place in the overlay network.", COMMANDS
    )


if __name__ == "__main__":
    sys.exit(main())
