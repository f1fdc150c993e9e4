"""WireGuard devices by wireguard-go, for kernels that have none.

    backend = Userspace(spaces)
    await backend.ensure("w-1a2b", underlay=HOST, space="n-1a2b")

A process a device, started in the underlay namespace, where its UDP socket stays when the tun is
moved. It outlives us and is adopted at our next start: found by its pidfile and its socket. When it
dies the link is gone, with addresses and routes; the caller makes all of it again. Its socket is a
name in a directory, so two devices of one name cannot be on a machine, whatever their namespaces.
"""

import asyncio
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from netns import children
from netns.netlink import Netlink
from netns.spaces import Spaces
from netns.values import Link
from netns.wireguard import uapi
from netns.wireguard.backend import ROLE, WireGuardError
from netns.wireguard.device import Op, Reading
from runtime.cli import require_tool
from runtime.failure import CannotError, Exit
from runtime.paths import RUN

PROGRAM = "wireguard-go"
TUN = Path("/dev/net/tun")
START_WITHIN = 5.0  # seconds; it takes 0.05
_POLL = 0.005


class Userspace:
    """A `WireGuardBackend`."""

    def __init__(self, spaces: Spaces, *, logs: Path = RUN / "log") -> None:
        self._spaces = spaces
        self._logs = logs

    async def ensure(self, name: str, *, underlay: str, space: str) -> bool:
        if await self.read(name) is not None:
            process = self._need_ours(name)
            if self._is_in(process, underlay):
                if await self._link(name, space) is not None:
                    return False
                if await self._move(name, underlay, space):  # we were killed before this step
                    return True
        await self.destroy(name)
        await self._start(name, underlay)
        if not await self._move(name, underlay, space):
            raise WireGuardError(f"cannot make WireGuard {name}: its link did not appear")
        return True

    async def read(self, name: str) -> Reading | None:
        return await uapi.read(uapi.socket_path(name))

    async def apply(self, name: str, ops: Iterable[Op]) -> None:
        await uapi.write(uapi.socket_path(name), ops)

    async def destroy(self, name: str) -> None:
        await children.stop(_child(name))
        if await self.read(name) is None:  # a killed one leaves its socket
            uapi.socket_path(name).unlink(missing_ok=True)

    async def ended(self, name: str) -> None:
        await children.ended(_child(name))

    def _need_ours(self, name: str) -> int:
        process = children.find(_child(name))
        if process is None:
            raise WireGuardError(
                f"cannot make WireGuard {name}: a device of that name runs and is not ours",
                hint=f"end the process behind {uapi.socket_path(name)}",
            )
        return process

    def _is_in(self, process: int, space: str) -> bool:
        """Its socket is where it was started. Not in a namespace that was deleted and made anew; one
        that has more rights than we have does not show where it is, and counts as elsewhere.
        """
        fd = self._spaces.open_fd(space)
        try:
            return os.fstat(fd).st_ino == Path(f"/proc/{process}/ns/net").stat().st_ino
        except (FileNotFoundError, PermissionError):
            return False
        finally:
            os.close(fd)

    async def _start(self, name: str, underlay: str) -> None:
        program = require_tool(PROGRAM, package=PROGRAM, what=f"make WireGuard {name}")
        _need_tun(name)
        foreign = await self._link(name, underlay)
        if foreign is not None:
            raise WireGuardError(
                f"cannot make WireGuard {name}: a link of that name exists and is not ours",
                hint=f"look with: ip link show {name}; remove it with: ip link delete {name}",
            )
        log = self._logs / f"{_child(name)}.log"
        argv = ["/usr/bin/env", "WG_PROCESS_FOREGROUND=1", program, name]
        await children.spawn(self._spaces, underlay, argv, name=_child(name), log_path=log)
        await self._wait(name, log)

    async def _wait(self, name: str, log: Path) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_WITHIN
        while await self.read(name) is None:
            if children.find(_child(name)) is None or loop.time() > deadline:
                await children.stop(_child(name))
                reason = _last_line(log) or f"no answer within {START_WITHIN:.0f} s"
                raise WireGuardError(
                    f"cannot make WireGuard {name}: wireguard-go says: {reason}", hint=f"see {log}"
                )
            await asyncio.sleep(_POLL)

    async def _link(self, name: str, space: str) -> Link | None:
        netlink = await Netlink.open(self._spaces, space)
        try:
            return await netlink.link(name)
        finally:
            await netlink.close()

    async def _move(self, name: str, underlay: str, space: str) -> bool:
        netlink = await Netlink.open(self._spaces, underlay)
        try:
            link = await netlink.link(name)
            if link is None:
                return False
            await netlink.set_link(link.index, role=ROLE)
            if space != underlay:
                await netlink.move(link.index, space)
            return True
        finally:
            await netlink.close()


def _child(name: str) -> str:
    return f"wireguard-{name}"


def _need_tun(name: str) -> None:
    if TUN.exists() and stat.S_ISCHR(TUN.stat().st_mode):
        return
    raise CannotError(
        f"cannot make WireGuard {name}: there is no {TUN}",
        hint=f"modprobe tun; in a container: mkdir -p {TUN.parent} && mknod {TUN} c 10 200",
        code=Exit.USAGE,
    )


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""
