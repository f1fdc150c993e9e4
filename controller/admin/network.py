"""`ncadm network …`"""

import argparse
import secrets

from controller.admin.client import (
    Items,
    add_common,
    add_paging,
    add_verbs,
    add_yes,
    ask,
    confirm,
    print_list,
)
from controller.admin.wanted import add_wanted, wanted
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
    create.add_argument("name", metavar="NAME", help="what may stand in an e-mail address")
    for family, example in (("ipv4", "10.9.0.0/16"), ("ipv6", "fd00:9::/64")):
        create.add_argument(
            f"--{family}",
            action="append",
            default=[],
            metavar="RANGE",
            help=f"such as {example}; can be given repeatedly",
        )
    create.add_argument("--owner", default="", metavar="USER", help="such as local:ann@example.net")
    add_wanted(create)
    listing = add_verb(verbs, "list", "list the networks", "ncadm network list --name 'farm-*'")
    listing.add_argument("--name", metavar="PATTERN", help="only those; * and ? stand for others")
    add_paging(listing)
    _add_network(add_verb(verbs, "show", "show one network"))
    change = add_verb(
        verbs, "set", "change settings of a network", "ncadm network set home --dns 10.9.0.2"
    )
    _add_network(change)
    change.add_argument("--name", metavar="NAME", help="a new name")
    change.add_argument(
        "--route",
        action="append",
        metavar="ROUTE",
        help='all that there are to be: "10.50.0.0/24 via n1", a prefix behind a member; or none',
    )
    change.add_argument(
        "--renumber",
        action="store_true",
        help="members whose addresses do not fit any more get others at once",
    )
    add_wanted(change)
    give = add_verb(
        verbs, "give", "give it another owner", "ncadm network give home local:ann@example.net"
    )
    _add_network(give)
    give.add_argument("owner", metavar="USER", help="the new owner's id")
    _add_network(add_verb(verbs, "delete", "delete a network; its members lose it at once"))
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    add_yes(verbs.choices["delete"])


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="its name or id")


def run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "list":
        wanted = {"name": arguments.name or ""}
        print_list(arguments, "network.list", wanted, "network", COLUMNS)
        return 0
    items = _ask(arguments)
    print_items("network", items, COLUMNS, output=arguments.output)
    return 0


def _ask(arguments: argparse.Namespace) -> Items:
    match arguments.verb:
        case "create":
            named = {
                "id": secrets.token_hex(16),
                "name": arguments.name,
                "ipv4": arguments.ipv4,
                "ipv6": arguments.ipv6,
                "owner": arguments.owner,
            }
            return ask(arguments, "network.create", named | wanted(arguments))
        case "set":
            named = {"network": arguments.network, "renumber": arguments.renumber}
            if arguments.name is not None:
                named["name"] = arguments.name
            routes = arguments.route
            more = {} if routes is None else {"routes": [r for r in routes if r != "none"]}
            return ask(arguments, "network.set", named | more | wanted(arguments))
        case "give":
            named = {"network": arguments.network, "owner": arguments.owner}
            return ask(arguments, "network.give", named)
        case verb:
            if verb == "delete":
                confirm(arguments, f"Delete network {arguments.network} with all its members?")
            return ask(arguments, f"network.{verb}", {"network": arguments.network})
