"""`ncadm network …`"""

import argparse
import secrets

from controller.admin.client import Items, add_common, add_yes, ask, confirm
from controller.admin.duration import seconds
from runtime.cli import print_items

COLUMNS = {
    "name": "name",
    "id": "id",
    "ranges": "ranges",
    "members": "members",
    "online": "online",
    "private": "private",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a network")
    create.add_argument("name")
    create.add_argument("--ipv4", default="", metavar="RANGE", help="such as 10.9.0.0/16")
    create.add_argument("--ipv6", default="", metavar="RANGE", help="such as fd00:9::/64")
    create.add_argument("--public", action="store_true", help="every known node may join")
    _add_settings(create)
    verbs.add_parser("list", help="all networks")
    for verb, said in (("show", "one network"), ("delete", "take away an empty network")):
        verbs.add_parser(verb, help=said).add_argument("network", help="name or id")
    change = verbs.add_parser("set", help="change a network")
    change.add_argument("network", help="name or id")
    change.add_argument("--name", help="a new name")
    kind = change.add_mutually_exclusive_group()
    kind.add_argument("--private", dest="private", action="store_true", default=None)
    kind.add_argument("--public", dest="private", action="store_false", default=None)
    _add_settings(change)
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    add_yes(verbs.choices["delete"])


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
    parser.add_argument("--desc", help="what it is for")
    parser.add_argument(
        "--life", type=seconds, metavar="TIME", help="of certificates: 0 (no end) or 1d and more"
    )
    parser.add_argument("--dns", action="append", metavar="ADDRESS", help="may stand repeatedly")
    parser.add_argument("--mtu", type=int, help="0: each node chooses")


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    values = {name: getattr(arguments, name) for name in ("desc", "life", "dns", "mtu")}
    return {name: value for name, value in values.items() if value is not None}
