"""What the client's machine does and where it is. Pure.

`wake_at` of a state is until when, if nothing comes; `rest` the time between its last repeats.
"""

import math
from ipaddress import IPv6Network

from msgspec import Struct

from agent.dhcp6.delegation import Delegation
from agent.dhcp6.wire import Answer, Query


# What the caller must do.
class Send(Struct, frozen=True):
    """To all servers on the link: we never ask one by its address, whatever it says."""

    query: Query


class Use(Struct, frozen=True):
    """This prefix, instead of the one before if that differs."""

    delegation: Delegation


class Drop(Struct, frozen=True):
    delegation: Delegation
    reason: str


Action = Send | Use | Drop


# Where we are.
class Waiting(Struct, frozen=True):
    wake_at: float
    hint: IPv6Network | None = None


class Soliciting(Struct, frozen=True):
    began: float
    wake_at: float
    rest: float
    hint: IPv6Network | None
    held: Delegation | None
    first: bool = True  # until its first repeat all are heard
    best: Answer | None = None


class Requesting(Struct, frozen=True):
    began: float
    tries: int
    wake_at: float
    rest: float
    server: bytes
    prefix: IPv6Network
    held: Delegation | None


class Bound(Struct, frozen=True):
    held: Delegation
    wake_at: float


class Renewing(Struct, frozen=True):
    began: float
    wake_at: float
    rest: float
    held: Delegation


class Rebinding(Struct, frozen=True):
    began: float
    wake_at: float
    rest: float
    held: Delegation


class Confirming(Struct, frozen=True):
    """After a restart: is what we had still ours (RFC 8415, 18.2.12)? Asked by REBIND."""

    began: float
    wake_at: float
    rest: float
    held: Delegation


class Releasing(Struct, frozen=True):
    began: float
    tries: int
    wake_at: float
    rest: float
    given: Delegation


class Released(Struct, frozen=True):
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
