"""The options of `ncadm network create` and `set`: a key of controller.settings each."""

import argparse

from controller.admin.duration import seconds

KEYS = (
    "desc",
    "notes",
    "ui",
    "private",
    "topology",
    "mesh_max",
    "member_prefix",
    "life",
    "reclaim_after",
    "mtu",
    "dns",
    "v4_assign",
    "v6_assign",
    "rfc4193",
    "sixplane",
    "ether_types",
    "enable_broadcast",
)


def add_wanted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desc", metavar="TEXT", help="what it is for")
    parser.add_argument("--notes", metavar="TEXT", help="for people; no node sees them")
    parser.add_argument("--ui", metavar="JSON", help="kept for a user interface")
    _add_kind(parser)
    _add_topology(parser)
    _add_addresses(parser)
    parser.add_argument(
        "--life",
        type=seconds,
        metavar="TIME",
        help="of memberships, at least 1d: who does not renew in time is out (default: 0, no end)",
    )
    parser.add_argument(
        "--mtu", type=int, metavar="BYTES", help="1280 to 9000 (default: 0, each node chooses)"
    )
    parser.add_argument(
        "--dns", action="append", metavar="ADDRESS", help="a name server; can be given repeatedly"
    )
    parser.add_argument(
        "--ether-types", metavar="LIST", help="such as 800,86dd: kept, without effect (no layer 2)"
    )
    parser.add_argument(
        "--broadcast",
        dest="enable_broadcast",
        action=argparse.BooleanOptionalAction,
        help="kept, without effect (no layer 2)",
    )


def wanted(arguments: argparse.Namespace) -> dict[str, object]:
    """What was given; `--dns ''` empties the list."""
    values = {name: getattr(arguments, name) for name in KEYS}
    if values["dns"] is not None:
        values["dns"] = [server for server in values["dns"] if server]
    return {name: value for name, value in values.items() if value is not None}


def _add_kind(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--private",
        dest="private",
        action="store_true",
        default=None,
        help="nodes need a token, or somebody who authorizes them (default)",
    )
    kind.add_argument(
        "--public",
        dest="private",
        action="store_false",
        default=None,
        help="every node of this farm may join without a token",
    )


def _add_topology(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topology",
        choices=("mesh", "hub"),
        help="mesh: everybody with everybody (default); hub: through members with that role",
    )
    parser.add_argument(
        "--mesh-max", type=int, metavar="COUNT", help="members of a mesh at most (default: 500)"
    )


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--member-prefix",
        type=int,
        metavar="LENGTH",
        help="an IPv4 subnet of this length for each member (default: 0, an address only)",
    )
    parser.add_argument(
        "--v4-assign",
        choices=("none", "zt", "dhcp"),
        help="zt: from the pools (default); dhcp is kept and assigns nothing",
    )
    parser.add_argument(
        "--v6-assign",
        choices=("none", "zt", "v6native", "dhcp6"),
        help="zt: from the pools (default); dhcp6 is kept and assigns nothing",
    )
    parser.add_argument(
        "--rfc4193",
        action=argparse.BooleanOptionalAction,
        help="each member also has an address that its id gives",
    )
    parser.add_argument(
        "--6plane",
        dest="sixplane",
        action=argparse.BooleanOptionalAction,
        help="each member also has a /80 that its id gives",
    )
    parser.add_argument(
        "--reclaim-after",
        type=seconds,
        metavar="TIME",
        help="when nothing is free, addresses of members silent for so long are given away"
        " (default: 30d; 0: never)",
    )
