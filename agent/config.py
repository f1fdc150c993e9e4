"""agent.yaml: everything a person may set on a node, with its default.

    config = load()      # /etc/zosnet/agent.yaml; all defaults when there is none

Unknown keys, wrong types and impossible values are refused with the key and a reason
(runtime.config). `off` must be written "off": YAML reads the bare word as a boolean.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Literal

import msgspec

from runtime.config import load_config
from runtime.paths import CONFIG

PATH = CONFIG / "agent.yaml"

NicKind = Literal["physical", "veth", "vlan", "bond"]
Supervisor = Literal["zinit", "systemd", "none"]
NIC_NAME = re.compile(r"[^\s/:]{1,15}")
CHECK = re.compile(r"tcp://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9.-]+)):(?P<port>\d+)")


def _need(condition: object, said: str) -> None:
    if not condition:
        raise ValueError(said)  # msgspec adds the place and makes it its own error


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


class Nics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which links may become the uplink."""

    # Kinds of link that are looked at. Virtual NICs (a lab's veth ends) must be asked for.
    kinds: tuple[NicKind, ...] = ("physical",)
    # Name patterns (`eth*`); empty: every NIC of these kinds.
    include: tuple[str, ...] = ()
    # Name patterns that are never touched, not even to see whether there is a cable.
    exclude: tuple[str, ...] = ()
    # This NIC is taken when it is usable, whatever the others offer.
    pin: str | None = None

    def __post_init__(self) -> None:
        _need(self.kinds, "kinds must name at least one kind of link")
        for pattern in (*self.include, *self.exclude):
            _need(pattern, "a name pattern must not be empty")
        _need(self.pin is None or NIC_NAME.fullmatch(self.pin), f"{self.pin!r} is no name of a NIC")


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long the boot waits for what, in seconds."""

    # After the first usable NIC, for the others that may still answer.
    grace: float = 2.0
    # For a carrier, once for all NICs together; a cable plugged later is seen at once as well.
    carrier: float = 6.0
    # For a DHCP server, per round.
    dhcp: float = 10.0

    def __post_init__(self) -> None:
        _need(0 <= self.grace <= 60, "grace must be 0 to 60 seconds")
        _need(0 <= self.carrier <= 60, "carrier must be 0 to 60 seconds")
        _need(1 <= self.dhcp <= 120, "dhcp must be 1 to 120 seconds")


class Ndmz(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The NAT router that workloads reach the Internet through."""

    # own: an address of its own by DHCP; shared, for sites that give one lease: not there yet.
    ipv4: Literal["own", "shared"] = "own"
    # required: ndmz is not ready before it has IPv6; preferred: IPv6 joins when it comes.
    ipv6: Literal["required", "preferred", "off"] = "preferred"
    # Servers for the workloads; gateway: port 53 of the current gateways is opened;
    # nothing: the global ones of the lease and the RA, else two public ones.
    dns: tuple[str, ...] | Literal["gateway"] | None = None
    # auto, zos, or the NIC that carries ndmz's own traffic.
    uplink: str = "auto"
    # Prefixes that workloads may reach although lan_guard would drop them.
    exceptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _need(
            self.ipv4 == "own",
            "ipv4: shared is not supported yet: ndmz needs a second lease, and without one has no IPv4",
        )
        _need(NIC_NAME.fullmatch(self.uplink), f"{self.uplink!r} is neither auto, zos nor a NIC")
        _need(
            self.uplink in ("auto", "zos"),
            f"uplink: {self.uplink} is not supported yet: ndmz is always on zos",
        )
        for server in self.servers_text:
            _need(_parses(ip_address, server), f"dns: {server!r} is no address")
        for prefix in self.exceptions:
            _need(_parses(ip_network, prefix), f"exceptions: {prefix!r} is no prefix")

    @property
    def servers_text(self) -> Sequence[str]:
        return self.dns if isinstance(self.dns, tuple) else ()

    @property
    def servers(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The DNS servers named here, if any."""
        return tuple(ip_address(server) for server in self.servers_text)


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What zosnet may change on the host beyond its own links."""

    # Whether bridged frames pass the host's firewall. auto: off, but kept where a foreign
    # firewall is loaded, because somebody may rely on it.
    bridge_nf: Literal["auto", "keep", "off"] = "auto"


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    nics: Nics = Nics()
    probe: Probe = Probe()
    # tcp://host:port, tried after the boot and only reported: no answer stops nothing.
    check: tuple[str, ...] = ()
    ndmz: Ndmz = Ndmz()
    host: Host = Host()
    # step: set the system clock forward to the controller's time; report: only say so.
    clock: Literal["report", "step"] = "report"
    # Who keeps `dhcp zos` running. none: internet starts it as a child of its own.
    supervisor: Supervisor = "zinit"
    # tcp://address:port instead of those in the join string and the keyset; empty: those.
    controllers: tuple[str, ...] = ()
    log: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        for target in (*self.check, *self.controllers):
            _need(split_target(target), f"{target!r} is not of the form tcp://host:port")


def split_target(target: str) -> tuple[str, int] | None:
    """Host and port of tcp://host:port (an IPv6 address in brackets), None when it is neither."""
    match = CHECK.fullmatch(target)
    if match is None or not 0 < int(match["port"]) < 65536:
        return None
    return match["v6"] or match["name"], int(match["port"])


def load(path: Path = PATH) -> AgentConfig:
    """The node's config. Raises runtime.config.ConfigError."""
    return load_config(path, AgentConfig)
