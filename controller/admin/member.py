"""`ncadm member …`"""

import argparse

from controller.admin.client import Items, add_common, add_verbs, add_yes, ask, confirm
from runtime.cli import print_items
from runtime.usage import add_verb

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
    "show": "show one member",
    "authorize": "let in a member that waits or was deauthorized",
    "deauthorize": "put a member out and let it wait; it keeps its addresses",
    "ban": "put a member out and refuse its key",
    "forget": "take a member out of the list; its addresses are free a day later",
}
QUESTIONS = {"deauthorize": "Deauthorize", "ban": "Ban", "forget": "Forget"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    listing = add_verb(verbs, "list", "list the members of a network", "ncadm member list home")
    listing.add_argument("network", metavar="NETWORK", help="its name or id")
    listing.add_argument("--all", action="store_true", help="hidden ones too")
    for verb, said in VERBS.items():
        _add_member(add_verb(verbs, verb, said))
    change = add_verb(
        verbs,
        "set",
        "change a member's name, notes, roles",
        "ncadm member set home n1 --role transit",
        "ncadm member set home n1 --role none",
    )
    _add_member(change)
    change.add_argument("--name", metavar="NAME", help="what it is called from now on")
    change.add_argument("--notes", metavar="TEXT", help="for people; no node sees them")
    change.add_argument(
        "--role",
        action="append",
        metavar="ROLE",
        help="hub, management, mint, transit; all that it is to have, or none",
    )
    shown = change.add_mutually_exclusive_group()
    shown.add_argument(
        "--hide",
        dest="hidden",
        action="store_true",
        default=None,
        help="list it only with --all",
    )
    shown.add_argument(
        "--unhide", dest="hidden", action="store_false", default=None, help="list it again"
    )
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
    parser.add_argument("network", metavar="NETWORK", help="its name or id")
    parser.add_argument("member", metavar="MEMBER", help="its name or address (10 hex digits)")


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
