"""What the overlay says of itself: light, for status files and commands."""

import msgspec


class PeerStatus(msgspec.Struct, kw_only=True):
    """One member as this node sees it; `path` is direct, through or none."""

    name: str
    node: str  # first ten hex digits of its key
    addresses: list[str]
    path: str
    through: str = ""  # the transit's name
    reason: str = ""  # why there is no path
    initiator: bool | None = None
    endpoint: str = ""
    handshake_age: float | None = None  # seconds
    rx: int = 0
    tx: int = 0
    reachable: bool | None = None  # None: it has not answered an echo yet
    answers_since: float | None = (
        None  # seconds since boot: its first answer, or first after silence
    )
    answers: dict[str, float] = {}  # address: round trip in milliseconds, of those that answer


class RefusalStatus(msgspec.Struct, kw_only=True):
    """A member that is not believed, or not in all."""

    name: str
    node: str
    reason: str


class NetworkStatus(msgspec.Struct, kw_only=True):
    """`state`: starting (not on the device yet) | up | failing (it was up, and cannot be kept so) |
    withdrawn (our membership is not valid).
    """

    network: str
    name: str
    state: str
    namespace: str
    device: str
    bridge: str
    port: int
    addresses: list[str] = []
    mtu: int = 0
    transit: bool = False
    revision: int = 0
    serial: int = 0
    epoch: int = 0
    incarnation: int = 0
    from_cache: bool = False  # nothing has come from a controller since our start
    attached: bool = False  # ndmz carries its workloads
    overlay_seconds: float | None = None  # since boot: the verified netmap was on the device
    first_ping_seconds: float | None = None  # since boot: a peer that was there before answered
    came_first: bool = False  # the first netmap on the device had no peer: there is no first ping
    problem: str = ""
    hint: str = ""
    peers: list[PeerStatus] = []
    refusals: list[RefusalStatus] = []
    refused_count: int = 0  # statements that were refused since our start
    ends_in: float | None = None  # seconds until our membership does, in its last quarter


class OverlayStatus(msgspec.Struct, kw_only=True):
    networks: list[NetworkStatus] = []
    problems: list[str] = []  # with networks that are kept here and could not be used
