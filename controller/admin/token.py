"""`ncadm token …`

The token's secret is made here and shown once, inside the join string; the controller gets only its
public half.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from controller.admin.client import Items, add_common, add_yes, ask, confirm
from controller.admin.duration import seconds
from runtime.cli import print_items

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
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="print a join string, once")
    create.add_argument("network", help="name or id")
    create.add_argument("--uses", type=int, default=1, help="nodes that it admits (default: 1)")
    create.add_argument(
        "--ttl", type=seconds, default=600, metavar="TIME", help="how long it lives (default: 10m)"
    )
    create.add_argument(
        "--role", action="append", default=[], metavar="ROLE", help="such as transit; repeatable"
    )
    create.add_argument("--address", default="", help="the overlay address its node gets")
    create.add_argument(
        "--ask", action="store_true", help="nodes wait until somebody authorizes them"
    )
    create.add_argument(
        "--output-file", type=Path, metavar="FILE", help="write the join string there (0600)"
    )
    listing = verbs.add_parser("list", help="tokens that exist")
    listing.add_argument("network", nargs="?", default="", help="only of this network")
    for verb, said in (("show", "one token"), ("revoke", "make a token worthless")):
        verbs.add_parser(verb, help=said).add_argument("token", help="its id")
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
    item = ask(arguments, "token.create", wanted)[0]
    text = _join_string(item, bytes(secret))
    if arguments.output_file is not None:
        from runtime.files import write_atomic

        write_atomic(arguments.output_file, text.encode() + b"\n", mode=0o600)
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
    return 0


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
