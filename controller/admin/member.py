"""`ncadm member …`"""

import argparse

from controller.admin.client import Items, add_common, add_yes, ask, confirm
from runtime.cli import print_items

COLUMNS = {
    "address": "address",
    "name": "name",
    "state": "state",
    "joined": "joined",
    "online": "online",
    "ip": "addresses",
    "roles": "roles",
    "last_at": "from",
}
FORGOTTEN = {"address": "address", "name": "name", "network": "network"}
VERBS = {
    "show": "one member",
    "authorize": "let a waiting or deauthorized member in",
    "deauthorize": "out, and let it wait; it keeps its addresses",
    "ban": "out, and its key is refused",
    "forget": "out of the list; its addresses rest, then are free",
}
QUESTIONS = {"deauthorize": "Deauthorize", "ban": "Ban", "forget": "Forget"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="who is in a network")
    listing.add_argument("network", help="name or id")
    listing.add_argument("--all", action="store_true", help="hidden ones too")
    for verb, said in VERBS.items():
        _add_member(verbs.add_parser(verb, help=said))
    change = verbs.add_parser("set", help="name, roles, notes")
    _add_member(change)
    change.add_argument("--name")
    change.add_argument("--notes")
    change.add_argument(
        "--role", action="append", metavar="ROLE", help="all it is to have; `none` takes all away"
    )
    shown = change.add_mutually_exclusive_group()
    shown.add_argument("--hide", dest="hidden", action="store_true", default=None)
    shown.add_argument("--unhide", dest="hidden", action="store_false", default=None)
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    for verb in QUESTIONS:
        add_yes(verbs.choices[verb])


def run(arguments: argparse.Namespace) -> int:
    items = _ask(arguments)
    columns = FORGOTTEN if arguments.verb == "forget" else COLUMNS
    print_items("member", items, columns, output=arguments.output)
    return 0


def _add_member(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or id")
    parser.add_argument("member", help="node address (10 hex digits) or name")


def _ask(arguments: argparse.Namespace) -> Items:
    if arguments.verb == "list":
        wanted = {"network": arguments.network, "hidden": arguments.all}
        return ask(arguments, "member.list", wanted)
    which = {"network": arguments.network, "member": arguments.member}
    if arguments.verb == "set":
        roles = arguments.role
        changes = {
            "name": arguments.name,
            "notes": arguments.notes,
            "hidden": arguments.hidden,
            "roles": None if roles is None else [role for role in roles if role != "none"],
        }
        known = {key: value for key, value in changes.items() if value is not None}
        return ask(arguments, "member.set", which | known)
    if arguments.verb in QUESTIONS:
        question = f"{QUESTIONS[arguments.verb]} {arguments.member} in {arguments.network}?"
        confirm(arguments, question)
    return ask(arguments, f"member.{arguments.verb}", which)
