"""`ncadm token …`

The token's secret is made here and shown once, inside the join string; the controller gets only its
public half.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

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
from controller.admin.duration import seconds
from controller.admin.joining import join_string
from controller.admin.reserve import reserve
from runtime.cli import print_items
from runtime.usage import add_verb

COLUMNS = {
    "token": "token",
    "network": "network",
    "state": "state",
    "uses_left": "uses left",
    "expires": "expires",
    "roles": "roles",
    "address": "address",
    "ask": "ask",
    "desc": "desc",
}
STATES = {"live": "live", "used": "used up", "expired": "expired", "revoked": "revoked"}
PRUNED = {"pruned": "pruned"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    create = add_verb(
        verbs,
        "create",
        "print a new join string; nobody can see it again",
        "ncadm token create home",
        "ncadm token create home --uses 20 --ttl 1d --output-file join",
        "ncadm token create home --role transit",
    )
    create.add_argument("network", metavar="NETWORK", help="its name or id")
    create.add_argument(
        "--uses",
        type=int,
        default=1,
        metavar="COUNT",
        help="how many nodes it lets in (default: 1)",
    )
    create.add_argument(
        "--ttl",
        type=seconds,
        default=600,
        metavar="TIME",
        help="how long it lives: 90s, 10m, 12h, 30d (default: 10m)",
    )
    create.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE",
        help="of who uses it: transit relays for nodes behind NAT; also hub, management, mint",
    )
    create.add_argument(
        "--address",
        default="",
        metavar="ADDRESS",
        help="the overlay address that its node gets: nobody else does while the token lives",
    )
    create.add_argument(
        "--ask", action="store_true", help="nodes wait until: ncadm member authorize"
    )
    create.add_argument("--desc", default="", metavar="TEXT", help="what it is for, in the list")
    create.add_argument(
        "--output-file",
        type=Path,
        metavar="FILE",
        help="write the join string there, readable by its owner only",
    )
    listing = add_verb(
        verbs,
        "list",
        "list the tokens that exist",
        "ncadm token list home --state live",
        "ncadm token list --by 'node*'",
    )
    listing.add_argument(
        "network", nargs="?", default="", metavar="NETWORK", help="only of this one (default: all)"
    )
    listing.add_argument(
        "--by", default="", metavar="PATTERN", help="only of these makers, such as 'node *'"
    )
    listing.add_argument(
        "--state",
        action="append",
        default=[],
        choices=STATES,
        metavar="STATE",
        help=f"only these: {', '.join(STATES)}",
    )
    add_paging(listing)
    prune = add_verb(
        verbs,
        "prune",
        "drop used, expired and revoked tokens from the list",
        "ncadm token prune --older 0s",
    )
    prune.add_argument(
        "--older",
        type=seconds,
        default=86400,
        metavar="TIME",
        help="only what has been worthless for so long (default: 1d); the controller does that itself",
    )
    for verb, said in (("show", "show one token"), ("revoke", "make a token worthless at once")):
        add_verb(verbs, verb, said).add_argument(
            "token", metavar="TOKEN", help="its id, as list shows it"
        )
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    add_yes(verbs.choices["revoke"])


def run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "create":
        return _create(arguments)
    if arguments.verb == "list":
        states = [STATES[state] for state in arguments.state]
        wanted = {"network": arguments.network, "by": arguments.by, "states": states}
        print_list(arguments, "token.list", wanted, "token", COLUMNS)
        return 0
    columns = PRUNED if arguments.verb == "prune" else COLUMNS
    print_items("token", _ask(arguments), columns, output=arguments.output)
    return 0


def _ask(arguments: argparse.Namespace) -> Items:
    if arguments.verb == "prune":
        return ask(arguments, "token.prune", {"older": arguments.older})
    if arguments.verb == "revoke":
        confirm(arguments, f"Revoke token {arguments.token}?")
    return ask(arguments, f"token.{arguments.verb}", {"token": arguments.token})


def _create(arguments: argparse.Namespace) -> int:
    from protocol.keys import new_curve_pair

    public, secret = new_curve_pair()
    wanted = {
        "network": arguments.network,
        "key": public.hex(),
        "uses": arguments.uses,
        "ttl": arguments.ttl,
        "address": arguments.address,
        "ask": arguments.ask,
        "roles": arguments.role,
        "desc": arguments.desc,
    }
    with reserve(arguments.output_file) as keep:
        item = ask(arguments, "token.create", wanted)[0]
        text = join_string(item, bytes(secret))
        if keep is not None:
            keep(text.encode() + b"\n")
    _print(arguments, item, text)
    return 0


def _print(arguments: argparse.Namespace, item: dict[str, Any], text: str) -> None:
    if arguments.output_file is not None:
        print_items("token", [item], COLUMNS, output=arguments.output)
    elif arguments.output == "json":
        print_items("token", [item | {"join": text}], COLUMNS, output="json")
    else:
        print(text)
        print(
            f"token {item['token']}: {item['uses_left']} use(s) until {item['expires']};"
            " this is the only time it is shown",
            file=sys.stderr,
        )
