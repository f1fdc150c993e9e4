"""What a node says of itself, read straight from its status files.

    view = look(root, "n2", layout)        # root: the node's / as seen from here
    view.network("home").addresses

internet.json is the boot's, ndmz.json and networkd.json are networkd's. A file that is not there
yet leaves its part empty. Nothing is run on the node, so looking often costs it nothing.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from runtime import files

RUN = "run/zosnet"
PHASES = ("uplink", "ndmz", "admitted", "overlay", "first_ping")
T = TypeVar("T")


class Uplink(msgspec.Struct, frozen=True):
    nic: str
    address_class: str | None = msgspec.field(default=None, name="class")
    reason: str = ""


class Nic(msgspec.Struct, frozen=True):
    name: str
    ipv4: str | None = None
    ipv6: tuple[str, ...] = ()
    reason: str = ""


class Boot(msgspec.Struct, frozen=True):
    """RUN/internet.json"""

    step: str = ""
    uplink: Uplink | None = None
    nics: tuple[Nic, ...] = ()
    seconds: dict[str, float] = {}


class Ndmz(msgspec.Struct, frozen=True):
    """RUN/ndmz.json"""

    ready4: bool = False
    ready6: bool = False
    addresses: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Peer(msgspec.Struct, frozen=True):
    name: str = ""
    addresses: tuple[str, ...] = ()
    path: str = ""
    through: str = ""
    reason: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """A member that the node does not believe."""

    name: str = ""
    reason: str = ""


class Network(msgspec.Struct, frozen=True):
    name: str = ""
    network: str = ""
    namespace: str = ""
    addresses: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class Carrier(msgspec.Struct, frozen=True):
    """The NIC of ndmz; empty: that of the node."""

    nic: str = ""
    reason: str = ""


class Daemon(msgspec.Struct, frozen=True):
    """RUN/networkd.json"""

    networks: tuple[Network, ...] = ()
    seconds: dict[str, float] = {}
    came_first: bool = False
    carrier: Carrier = Carrier()
    reasons: tuple[str, ...] = ()


class NodeView(Struct, frozen=True):
    name: str
    layout: str
    boot: Boot = field(default_factory=Boot)
    ndmz: Ndmz = field(default_factory=Ndmz)
    daemon: Daemon = field(default_factory=Daemon)

    @property
    def seconds(self) -> dict[str, float]:
        """When each phase was over, since the agent's start."""
        done = {"uplink": self.boot.seconds["done"]} if "done" in self.boot.seconds else {}
        return {**done, **self.daemon.seconds}

    @property
    def missing(self) -> list[str]:
        """The phases that are not over, in order; who came first has nobody to ping."""
        done = {*self.seconds, "first_ping"} if self.daemon.came_first else self.seconds
        return [phase for phase in PHASES if phase not in done]

    @property
    def nic(self) -> Nic:
        """The uplink's card, an empty one before the choice."""
        name = self.boot.uplink.nic if self.boot.uplink else ""
        return next((nic for nic in self.boot.nics if nic.name == name), Nic(name))

    @property
    def overlay(self) -> tuple[str, ...]:
        """Its overlay addresses, without the length of their prefixes."""
        return tuple(a.partition("/")[0] for n in self.daemon.networks for a in n.addresses)

    def relay_to(self, address: str) -> str:
        """Through whom packets to an overlay address go, empty when directly."""
        peers = (peer for network in self.daemon.networks for peer in network.peers)
        return next((peer.through for peer in peers if address in peer.addresses), "")

    @property
    def namespace(self) -> str:
        """Where its first network is; empty before it has one."""
        return next((n.namespace for n in self.daemon.networks), "")


def look(root: Path, name: str, layout: str) -> NodeView:
    run = root / RUN
    return NodeView(
        name=name,
        layout=layout,
        boot=_load(run / "internet.json", Boot),
        ndmz=_load(run / "ndmz.json", Ndmz),
        daemon=_load(run / "networkd.json", Daemon),
    )


def _load(path: Path, kind: type[T]) -> T:
    """An empty `kind` when the node's power is off, or it has not come so far."""
    try:
        return files.load(path, kind) or kind()
    except (files.DamagedFileError, OSError):
        return kind()


COLUMNS = {
    "name": "node",
    "layout": "layout",
    "uplink": "uplink",
    "addresses": "addresses",
    "ndmz": "ndmz",
    "overlay": "overlay",
}


def as_row(view: NodeView) -> dict[str, object]:
    """One line of a table, with COLUMNS."""
    uplink = view.boot.uplink
    families = [n for n, ready in (("4", view.ndmz.ready4), ("6", view.ndmz.ready6)) if ready]
    return {
        "name": view.name,
        "layout": view.layout,
        "uplink": f"{uplink.nic} ({uplink.reason})" if uplink else view.boot.step,
        "addresses": [a for a in (view.nic.ipv4, *view.nic.ipv6) if a],
        "ndmz": [f"IPv{family}" for family in families],
        "overlay": list(view.overlay),
    }
