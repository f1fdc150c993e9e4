"""agent.yaml: everything a person may set on a node, with its default.

    config = load()      # /etc/zosnet/agent.yaml over the kernel's command line, over the defaults

Unknown keys, wrong types and impossible values are refused with the key and a reason
(runtime.config). `off` must be written "off": YAML reads the bare word as a boolean.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent import cmdline
from agent.static.config import StaticNic, check_static
from runtime.config import LogConfig, convert_config, load_document
from runtime.paths import CONFIG

PATH = CONFIG / "agent.yaml"

NicKind = Literal["physical", "veth", "vlan", "bond"]
Seconds = Annotated[float, msgspec.Meta(extra={"unit": "s"})]
Supervisor = Literal["zinit", "systemd", "none"]
BOND = "zbond"
NIC_NAME = re.compile(r"[^\s/:]{1,15}")
FARM = re.compile(r"([0-9a-f]{10})?")
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
    grace: Seconds = 2.0
    # For a carrier, once for all NICs together; a cable plugged later is seen at once as well.
    carrier: Seconds = 6.0
    # For a DHCP server, per round.
    dhcp: Seconds = 10.0

    def __post_init__(self) -> None:
        _need(0 <= self.grace <= 60, "grace must be 0 to 60 seconds")
        _need(0 <= self.carrier <= 60, "carrier must be 0 to 60 seconds")
        _need(1 <= self.dhcp <= 120, "dhcp must be 1 to 120 seconds")


class Bond(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Several NICs as one, which is called zbond."""

    # active-backup needs nothing of the switch, 802.3ad (LACP) does.
    mode: Literal["active-backup", "802.3ad"] = "active-backup"
    nics: tuple[str, ...]

    def __post_init__(self) -> None:
        _need(self.nics, "nics must name at least one NIC")
        for name in self.nics:
            _need(NIC_NAME.fullmatch(name), f"{name!r} is no name of a NIC")


class Uplink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the node leaves the NIC that carries it, in seconds."""

    # Without carrier, or with gateways that are silent, for so long: another NIC is taken.
    dead: Seconds = 30.0
    # The boot's NIC is taken again when it was usable for so long without a break.
    back: Seconds = 300.0
    # The number of the VLAN that the site's network is tagged with; from there on the link is NIC.vlan.
    vlan: Annotated[int, msgspec.Meta(ge=1, le=4094)] | None = None
    # Several NICs that are one link to the site.
    bond: Bond | None = None

    def __post_init__(self) -> None:
        _need(2 <= self.dead <= 3600, "dead must be 2 to 3600 seconds")
        _need(2 <= self.back <= 86400, "back must be 2 to 86400 seconds")


class Ndmz(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The NAT router that workloads reach the Internet through."""

    # own: an address of its own by DHCP; shared: through the host, for sites that give one lease;
    # auto: own, and shared while the site gives none.
    ipv4: Literal["auto", "own", "shared"] = "auto"
    # required: ndmz is not ready before it has IPv6; preferred: IPv6 joins when it comes.
    ipv6: Literal["required", "preferred", "off"] = "preferred"
    # Servers for the workloads; gateway: port 53 of the current gateways is opened;
    # nothing: the global ones of the lease and the RA, else two public ones.
    dns: tuple[str, ...] | Literal["gateway"] | None = None
    # A prefix of its own for network resources, from a DHCPv6 server. auto: asked for where the
    # site's routers say that there is one; always: everywhere.
    delegation: Literal["auto", "always", "never"] = "auto"
    # By which NIC workloads leave. zos: that of the node; auto: one with a public address, where
    # that of the node has none; or the name of one.
    uplink: str = "auto"
    # Prefixes that workloads may reach although lan_guard would drop them.
    exceptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _need(NIC_NAME.fullmatch(self.uplink), f"{self.uplink!r} is neither auto, zos nor a NIC")
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
    uplink: Uplink = Uplink()
    # By the NIC's name: its addresses, where no server gives any. No DHCP there.
    static: dict[str, StaticNic] = {}
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
    # A file with a join string, taken by a node that is in no farm yet.
    join: str = ""
    # The id of the farm, ten hex digits: join strings of others are refused; empty: any.
    farm: str = ""
    log: LogConfig = LogConfig()

    def __post_init__(self) -> None:
        for target in (*self.check, *self.controllers):
            _need(split_target(target), f"{target!r} is not of the form tcp://host:port")
        for name in self.static:
            _need(NIC_NAME.fullmatch(name), f"static: {name!r} is no name of a NIC")
        check_static(self.static)
        _need(self.join[:1] in ("", "/"), f"join: {self.join!r} does not begin with /")
        _need(
            FARM.fullmatch(self.farm),
            f"farm: {self.farm!r} is not ten hex digits, as status has it",
        )

    @property
    def eligible(self) -> Nics:
        """`nics`, of the links that are there once the bond and the VLANs have been made."""
        vlan, nics = self.uplink.vlan, self.nics
        if vlan is not None:
            pin = nics.pin and vlan_name(nics.pin, vlan)
            only = (vlan_name("*", vlan),)
            never = tuple(vlan_name(pattern, vlan) for pattern in nics.exclude)
            return msgspec.structs.replace(
                nics, kinds=("vlan",), include=only, exclude=never, pin=pin
            )
        if self.uplink.bond is not None:
            include = (*nics.include, BOND) if nics.include else ()
            return msgspec.structs.replace(nics, kinds=(*nics.kinds, "bond"), include=include)
        return nics


def vlan_name(below: str, vlan: int) -> str:
    """What the VLAN on a link is called: of a long name the end, in which NICs differ."""
    return f"{below[-14 + len(str(vlan)) :]}.{vlan}"


def split_target(target: str) -> tuple[str, int] | None:
    """Host and port of tcp://host:port (an IPv6 address in brackets), None when it is neither."""
    match = CHECK.fullmatch(target)
    if match is None or not 0 < int(match["port"]) < 65536:
        return None
    return match["v6"] or match["name"], int(match["port"])


def load(path: Path = PATH, *, kernel: Path = cmdline.PATH) -> AgentConfig:
    """The node's config: a key that agent.yaml has counts, else the kernel's command line. Raises
    runtime.config.ConfigError.
    """
    below = cmdline.parse_cmdline(kernel.read_text(errors="replace"))
    convert_config(below, AgentConfig, kernel)  # what is wrong there is said of there
    return convert_config(cmdline.merged(below, load_document(path)), AgentConfig, path)
