"""A WireGuard device in memory, as far as configuration goes: a `WireGuardBackend` without packets."""

import asyncio
from collections.abc import Iterable

from msgspec.structs import replace

from netns.wireguard.backend import WireGuardError
from netns.wireguard.device import (
    Device,
    Endpoint,
    Op,
    PeerStat,
    Reading,
    Reset,
    SetDevice,
    apply,
)


class MemoryDevice:
    """One device. `requests` holds what was applied; `taken` are ports of somebody else."""

    def __init__(self) -> None:
        self.device: Device | None = Device()
        self.stats: dict[bytes, PeerStat] = {}
        self.requests: list[list[Op]] = []
        self.taken: set[int] = set()

    async def ensure(self, name: str, *, underlay: str, space: str) -> bool:
        new = self.device is None
        self.device = self.device or Device()
        return new

    async def read(self, name: str) -> Reading | None:
        return Reading(self.device, dict(self.stats)) if self.device is not None else None

    async def apply(self, name: str, ops: Iterable[Op]) -> None:
        done = list(ops)
        for op in done:
            if isinstance(op, SetDevice) and op.port in self.taken:
                raise WireGuardError(f"cannot configure {name}: address in use", number=98)
            if isinstance(op, Reset):
                self.stats.pop(op.peer.key, None)
        self.requests.append(done)
        self.device = apply(self.device or Device(), done)

    async def destroy(self, name: str) -> None:
        self.device = None

    async def ended(self, name: str) -> None:
        await asyncio.Event().wait()

    def hear(self, key: bytes, endpoint: Endpoint, stat: PeerStat) -> None:
        """A handshake with the peer `key` was completed, from `endpoint`."""
        assert self.device is not None
        peer = replace(self.device.peers[key], endpoint=endpoint)
        self.device = replace(self.device, peers={**self.device.peers, key: peer})
        self.stats[key] = stat
