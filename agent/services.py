"""The node's three programs as services, under zinit or systemd: made, and taken away again.

running = install_services("zinit", agent_program(), start=True)
said = remove_services()
"""

from pathlib import Path
from typing import Literal

from agent import systemd
from runtime.systemd import ensure_services
from runtime.systemd import remove_services as remove_from_systemd
from zinit import units
from zinit.install import install_units, uninstall_unit

Manager = Literal["zinit", "systemd"]
NAMES = ("networkd", "dhcp-zos", "internet")


def unit_texts(manager: Manager, agent: Path) -> dict[str, str]:
    """The unit files, by name. `dhcp-zos` of zinit is missing: `internet` makes it, once it knows
    that there is an uplink.
    """
    match manager:
        case "zinit":
            return {f"{unit.name}{units.SUFFIX}": units.render(unit) for unit in _wanted(agent)}
        case "systemd":
            return systemd.units(agent)


def install_services(manager: Manager, agent: Path, *, start: bool) -> bool:
    """Write the units and `start` them; True when they run, False when they wait for the next
    boot, as without a zinit to ask. Raises CannotError.
    """
    match manager:
        case "zinit":
            return install_units(_wanted(agent), start=start)
        case "systemd":
            return ensure_services(systemd.units(agent), start=start)


def remove_services() -> list[str]:
    """Stop and forget our units, wherever they are, or only delete them where nothing runs them;
    what was done, for people.
    """
    done = [said for name in NAMES if (said := uninstall_unit(name))]
    under_systemd = (systemd.NETWORKD, systemd.KEEPER, systemd.INTERNET)
    return done + [f"service {name} removed" for name in remove_from_systemd(under_systemd)]


def _wanted(agent: Path) -> tuple[units.Unit, ...]:
    return units.internet(agent), units.networkd(agent)
