"""All that the doctor looks at, in the order in which one thing needs the other."""

import asyncio
from pathlib import Path

from agent.doctor import kernel, machine, network
from agent.doctor.finding import Finding, look
from runtime import paths
from zinit.client import Client


def examine() -> list[Finding]:
    """Takes about two seconds; changes nothing."""
    config, told = machine.check_config()
    status = Path("/proc/self/status").read_text()
    return [
        *look("rights", lambda: machine.check_rights(status, config)),
        *kernel.examine(),
        *look("nft", machine.check_nft),
        *look("clock", lambda: machine.check_clock(paths.STATE / "clock", config)),
        *look(str(paths.STATE), lambda: machine.check_directory(paths.STATE)),
        *look(str(paths.RUN), lambda: machine.check_directory(paths.RUN)),
        *look("state files", lambda: machine.check_files(paths.STATE)),
        *look("node key", machine.check_key),
        told,
        *look("supervisor", lambda: machine.check_supervisor(config.supervisor, Client())),
        *look("units", machine.check_units),
        *asyncio.run(network.examine(config)),
    ]
