"""Hand the lease keeper `dhcp zos` to whoever keeps services on this machine, and do not wait.

zinit: a unit `dhcp-zos`. systemd: the unit that `install` wrote, else a transient one.
none: a child in its own session, found again by its pidfile.
"""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

from agent import systemd
from agent.config import Supervisor
from netns import children
from netns.spaces import HOST, Spaces
from runtime.cli import require_tool
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

KEEPER = "dhcp-zos"
LOGS = Path("/var/log/zosnet")


def agent_program() -> Path:
    """The `zosnet-agent` that belongs to the running Python."""
    path = Path(sys.executable).parent / "zosnet-agent"
    if not path.exists():
        raise CannotError(
            f"cannot start the lease keeper: there is no {path}",
            hint="install zosnet into this Python: script/bootstrap",
            code=Exit.USAGE,
        )
    return path


async def ensure_keeper(spaces: Spaces, supervisor: Supervisor, agent: Path) -> None:
    """Make the keeper of `zos` run. Raises CannotError."""
    match supervisor:
        case "zinit":
            await asyncio.to_thread(_ensure_zinit, agent)
        case "systemd":
            await asyncio.to_thread(_ensure_systemd, agent)
        case "none":
            await ensure_child(spaces, KEEPER, [str(agent), "dhcp", "zos"])


async def ensure_child(spaces: Spaces, name: str, argv: list[str]) -> None:
    """`argv` as a child that outlives us, unless it lives already."""
    if children.find(name) is None:
        await children.spawn(spaces, HOST, argv, name=name, log_path=LOGS / f"{name}.log")


def _ensure_zinit(agent: Path) -> None:
    from zinit.client import Client  # noqa: PLC0415  # only where there is a zinit
    from zinit.install import ensure_unit  # noqa: PLC0415
    from zinit.units import dhcp_zos  # noqa: PLC0415

    ensure_unit(Client(), dhcp_zos(agent))


def _ensure_systemd(agent: Path) -> None:
    what = "start the lease keeper"
    systemctl = require_tool("systemctl", package="systemd", what=what)
    start = [systemctl, "start", "--quiet", "--no-block", systemd.KEEPER]  # it is after us
    if subprocess.run(start, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return
    systemd_run = require_tool("systemd-run", package="systemd", what=what)
    ended = subprocess.run(
        [
            systemd_run,
            *("--quiet", "--collect", f"--unit={systemd.KEEPER}"),
            *("--property=Restart=always", "--property=RestartSec=2"),
            *(str(agent), "dhcp", "zos"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise CannotError(f"cannot start the lease keeper: systemd-run says: {said}")
