"""What the client's machine does and where it is. Pure.

`wake_at` of a state is until when, if nothing comes; `rest` the time between its last repeats.
"""

import math
from dataclasses import dataclass
from ipaddress import IPv6Network

from agent.dhcp6.delegation import Delegation
from agent.dhcp6.wire import Answer, Query


# What the caller must do.
@dataclass(frozen=True, slots=True)
class Send:
    """To all servers on the link: we never ask one by its address, whatever it says."""

    query: Query


@dataclass(frozen=True, slots=True)
class Use:
    """This prefix, instead of the one before if that differs."""

    delegation: Delegation


@dataclass(frozen=True, slots=True)
class Drop:
    delegation: Delegation
    reason: str


Action = Send | Use | Drop


# Where we are.
@dataclass(frozen=True, slots=True)
class Waiting:
    wake_at: float
    hint: IPv6Network | None = None


@dataclass(frozen=True, slots=True)
class Soliciting:
    began: float
    wake_at: float
    rest: float
    hint: IPv6Network | None
    held: Delegation | None
    first: bool = True  # until its first repeat all are heard
    best: Answer | None = None


@dataclass(frozen=True, slots=True)
class Requesting:
    began: float
    tries: int
    wake_at: float
    rest: float
    server: bytes
    prefix: IPv6Network
    held: Delegation | None


@dataclass(frozen=True, slots=True)
class Bound:
    held: Delegation
    wake_at: float


@dataclass(frozen=True, slots=True)
class Renewing:
    began: float
    wake_at: float
    rest: float
    held: Delegation


@dataclass(frozen=True, slots=True)
class Rebinding:
    began: float
    wake_at: float
    rest: float
    held: Delegation


@dataclass(frozen=True, slots=True)
class Confirming:
    """After a restart: is what we had still ours (RFC 8415, 18.2.12)? Asked by REBIND."""

    began: float
    wake_at: float
    rest: float
    held: Delegation


@dataclass(frozen=True, slots=True)
class Releasing:
    began: float
    tries: int
    wake_at: float
    rest: float
    given: Delegation


@dataclass(frozen=True, slots=True)
class Released:
    wake_at: float = math.inf


State = (
    Waiting
    | Soliciting
    | Requesting
    | Bound
    | Renewing
    | Rebinding
    | Confirming
    | Releasing
    | Released
)
