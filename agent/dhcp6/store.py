"""What was delegated, on disk; good as it is in the boot that wrote it, and a hint in later ones.

`load_delegation` gives what was in use since power-on; its times are on a clock that began then.
"""

import logging
from ipaddress import IPv6Network
from pathlib import Path
from typing import Self

import msgspec

from agent.dhcp6.delegation import Delegation
from runtime import files
from runtime.clock import boot_id
from runtime.paths import STATE

log = logging.getLogger(__name__)

PATH = STATE / "leases" / "prefix.json"


class DelegationRecord(msgspec.Struct, frozen=True, kw_only=True):
    prefix: str
    server: str  # DUID, in hex
    preferred_s: int
    valid_s: int
    renew_s: int
    rebind_s: int
    acquired: float

    @classmethod
    def of(cls, held: Delegation) -> Self:
        return cls(
            prefix=str(held.prefix),
            server=held.server.hex(),
            preferred_s=held.preferred_s,
            valid_s=held.valid_s,
            renew_s=held.renew_s,
            rebind_s=held.rebind_s,
            acquired=held.acquired,
        )

    def delegation(self) -> Delegation:
        """Raises ValueError when a field is none."""
        return Delegation(
            prefix=IPv6Network(self.prefix),
            server=bytes.fromhex(self.server),
            preferred_s=self.preferred_s,
            valid_s=self.valid_s,
            renew_s=self.renew_s,
            rebind_s=self.rebind_s,
            acquired=self.acquired,
        )


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    boot_id: str
    delegation: DelegationRecord


def store_delegation(held: Delegation, *, path: Path = PATH, boot: str | None = None) -> None:
    """Durably. Raises OSError."""
    record = DelegationRecord.of(held)
    files.store(path, _Stored(boot_id=boot or boot_id(), delegation=record))


def forget_delegation(*, path: Path = PATH) -> None:
    path.unlink(missing_ok=True)


def load_delegation(
    *, path: Path = PATH, boot: str | None = None
) -> tuple[Delegation | None, IPv6Network | None]:
    """What was in use in this boot, and else the prefix of an earlier one. A damaged file is neither."""
    try:
        stored = files.load(path, _Stored)
        held = stored.delegation.delegation() if stored is not None else None
    except (files.DamagedFileError, ValueError) as error:
        log.warning("stored prefix ignored", extra={"reason": str(error)})
        return None, None
    if stored is None or held is None:
        return None, None
    if stored.boot_id != (boot or boot_id()):
        return None, held.prefix
    return held, held.prefix
