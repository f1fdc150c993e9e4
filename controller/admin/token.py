"""`ncadm token …`

The token's secret is made here and shown once, inside the join string; the controller gets only its
public half.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from controller.admin.client import Items, add_common, add_verbs, add_yes, ask, confirm
from controller.admin.duration import seconds
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
}


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
        "--address", default="", metavar="ADDRESS", help="the overlay address that its node gets"
    )
    create.add_argument(
        "--ask", action="store_true", help="nodes wait until: ncadm member authorize"
    )
    create.add_argument(
        "--output-file",
        type=Path,
        metavar="FILE",
        help="write the join string there, readable by its owner only",
    )
    listing = add_verb(verbs, "list", "list the tokens that exist", "ncadm token list home")
    listing.add_argument(
        "network", nargs="?", default="", metavar="NETWORK", help="only of this one (default: all)"
    )
    for verb, said in (("show", "show one token"), ("revoke", "make a token worthless")):
        add_verb(verbs, verb, said).add_argument(
            "token", metavar="TOKEN", help="its id, as list shows it"
        )
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    add_yes(verbs.choices["revoke"])


def run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "create":
        return _create(arguments)
    print_items("token", _ask(arguments), COLUMNS, output=arguments.output)
    return 0


def _ask(arguments: argparse.Namespace) -> Items:
    if arguments.verb == "list":
        return ask(arguments, "token.list", {"network": arguments.network})
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
    }
    with reserve(arguments.output_file) as keep:
        item = ask(arguments, "token.create", wanted)[0]
        text = _join_string(item, bytes(secret))
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


def _join_string(item: dict[str, Any], secret: bytes) -> str:
    from protocol.joinstring import JoinString, render_join_string
    from protocol.keys import CurvePublic, CurveSecret, VerifyKey

    curve = CurvePublic(bytes.fromhex(item["curve"]))
    return render_join_string(
        JoinString(
            root=VerifyKey(bytes.fromhex(item["root"])),
            token=CurveSecret(secret),
            controllers=tuple((endpoint, curve) for endpoint in item["controllers"]),
        )
    )
