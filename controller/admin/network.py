"""`ncadm network …`"""

import argparse
import secrets

from controller.admin.client import Items, add_common, add_verbs, add_yes, ask, confirm
from controller.admin.duration import seconds
from runtime.cli import print_items
from runtime.usage import add_verb

COLUMNS = {
    "name": "name",
    "id": "id",
    "ranges": "ranges",
    "members": "members",
    "online": "online",
    "private": "private",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    create = add_verb(
        verbs,
        "create",
        "make a network; without ranges it gets a /16 and a /64 of its own",
        "ncadm network create home",
        "ncadm network create home --ipv4 10.9.0.0/16 --ipv6 fd00:9::/64",
    )
    create.add_argument("name", metavar="NAME", help="letters, digits and _.@+-")
    create.add_argument("--ipv4", default="", metavar="RANGE", help="such as 10.9.0.0/16")
    create.add_argument("--ipv6", default="", metavar="RANGE", help="such as fd00:9::/64")
    create.add_argument(
        "--public", action="store_true", help="every node of this farm may join without a token"
    )
    _add_settings(create)
    add_verb(verbs, "list", "list all networks")
    _add_network(add_verb(verbs, "show", "show one network"))
    change = add_verb(
        verbs, "set", "change settings of a network", "ncadm network set home --dns 10.9.0.2"
    )
    _add_network(change)
    change.add_argument("--name", metavar="NAME", help="a new name")
    kind = change.add_mutually_exclusive_group()
    kind.add_argument(
        "--private",
        dest="private",
        action="store_true",
        default=None,
        help="nodes need a token, or somebody who authorizes them",
    )
    kind.add_argument(
        "--public",
        dest="private",
        action="store_false",
        default=None,
        help="every node of this farm may join without a token",
    )
    _add_settings(change)
    _add_network(add_verb(verbs, "delete", "delete a network that has no members"))
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    add_yes(verbs.choices["delete"])


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="its name or id")


def run(arguments: argparse.Namespace) -> int:
    items = _ask(arguments)
    print_items("network", items, COLUMNS, output=arguments.output)
    return 0


def _ask(arguments: argparse.Namespace) -> Items:
    match arguments.verb:
        case "list":
            return ask(arguments, "network.list", {})
        case "create":
            wanted = {
                "id": secrets.token_hex(16),
                "name": arguments.name,
                "ipv4": arguments.ipv4,
                "ipv6": arguments.ipv6,
                "public": arguments.public,
            }
            return ask(arguments, "network.create", wanted | _settings(arguments))
        case "set":
            changes = {"name": arguments.name, "private": arguments.private}
            known = {key: value for key, value in changes.items() if value is not None}
            wanted = {"network": arguments.network} | known | _settings(arguments)
            return ask(arguments, "network.set", wanted)
        case verb:
            if verb == "delete":
                confirm(arguments, f"Delete network {arguments.network}?")
            return ask(arguments, f"network.{verb}", {"network": arguments.network})


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--desc", metavar="TEXT", help="what it is for")
    parser.add_argument(
        "--life",
        type=seconds,
        metavar="TIME",
        help="of memberships, at least 1d: who does not renew in time is out (default: 0, no end)",
    )
    parser.add_argument(
        "--dns", action="append", metavar="ADDRESS", help="a name server; can be given repeatedly"
    )
    parser.add_argument(
        "--mtu", type=int, metavar="BYTES", help="1280 to 9000 (default: 0, each node chooses)"
    )


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    values = {name: getattr(arguments, name) for name in ("desc", "life", "dns", "mtu")}
    return {name: value for name, value in values.items() if value is not None}
