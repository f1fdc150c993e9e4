"""`ncadm member …`"""

import argparse
import sys
from typing import Any

from controller.admin import member_set
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
from controller.admin.duration import since
from controller.admin.joining import join_string
from runtime.cli import print_items
from runtime.usage import add_verb

COLUMNS = {
    "address": "address",
    "name": "name",
    "state": "state",
    "seen": "seen",
    "ip": "addresses",
    "roles": "roles",
    "last_at": "from",
}
FORGOTTEN = {"address": "address", "name": "name", "network": "network"}
VERBS = {
    "show": "show all that is known of one member",
    "authorize": "let in a member that waits or was deauthorized",
    "deauthorize": "put a member out and let it wait; it keeps its addresses",
    "ban": "put a member out and refuse its key",
    "unban": "let in the key of a banned member again; it waits to be authorized",
    "forget": "take a member out of the list; its addresses are free a day later",
}
STATES = ("pending", "authorized", "deauthorized", "banned")
QUESTIONS = {"deauthorize": "Deauthorize", "ban": "Ban", "forget": "Forget"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    _add_list(verbs)
    for verb, said in VERBS.items():
        member_set.add_member(add_verb(verbs, verb, said))
    verbs.choices["forget"].add_argument(
        "--force", action="store_true", help="the network's management member too"
    )
    member_set.add_verbs_to(verbs)
    for verb_parser in verbs.choices.values():
        add_common(verb_parser)
    for verb in QUESTIONS:
        add_yes(verbs.choices[verb])


def run(arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "list":
            print_list(
                arguments, "member.list", _filters(arguments), "member", COLUMNS, cells=cells
            )
        case "show":
            _print_card(arguments, _ask(arguments))
        case "forget":
            print_items("member", _ask(arguments), FORGOTTEN, output=arguments.output)
        case "add":
            _print_added(arguments, member_set.add(arguments)[0])
        case "adopt":
            _print_added(arguments, member_set.adopt(arguments)[0])
        case "set":
            print_members(arguments, member_set.change(arguments))
        case _:
            print_members(arguments, _ask(arguments))
    return 0


def print_members(arguments: argparse.Namespace, items: Items) -> None:
    shown = [cells(item) for item in items] if arguments.output == "table" else items
    print_items("member", shown, COLUMNS, output=arguments.output)


def cells(item: dict[str, object]) -> dict[str, object]:
    """An item as a table shows it: since when it is connected, or is not, or waits."""
    marks = " (copied!)" if item["cloned"] else ""
    return item | {"seen": f"{item['connection']} {since(item['age'])}{marks}"}


def _print_added(arguments: argparse.Namespace, item: dict[str, Any]) -> None:
    """The join string is what a script wants; it holds no secret, and any node may have it."""
    text = join_string(item) if item["controllers"] else ""
    if arguments.output_file is not None:
        arguments.output_file.write_text(text + "\n", encoding="ascii")
    if arguments.output_file is not None or arguments.output != "table" or not text:
        shown = [cells(item)] if arguments.output == "table" else [item | {"join": text}]
        print_items("member", shown, COLUMNS, output=arguments.output)
    else:
        print(text)
        said = ", ".join(str(ip) for ip in item["ip"]) or "no address"
        print(f"member {item['address']}: {said}; its key is let in", file=sys.stderr)


def _print_card(arguments: argparse.Namespace, items: Items) -> None:
    """Everything about one, a line each."""
    if arguments.output == "table":
        lines = [{"field": key, "value": value} for item in items for key, value in item.items()]
        print_items("member", lines, {"field": "field", "value": "value"}, output="table")
    else:
        print_items("member", items, COLUMNS, output=arguments.output)


def _add_list(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = add_verb(
        verbs,
        "list",
        "list the members of a network",
        "ncadm member list home",
        "ncadm member list home --state pending",
        "ncadm member list home --name 'n*' -o jsonl",
    )
    listing.add_argument("network", metavar="NETWORK", help="its name or id")
    listing.add_argument("--all", action="store_true", help="hidden ones too")
    listing.add_argument("--name", metavar="PATTERN", help="only those; * and ? stand for others")
    listing.add_argument(
        "--state",
        action="append",
        choices=STATES,
        metavar="STATE",
        help=f"only those: {', '.join(STATES)}; can be given repeatedly",
    )
    listing.add_argument("--role", metavar="ROLE", help="only those that have it")
    add_paging(listing)


def _filters(arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "network": arguments.network,
        "hidden": arguments.all,
        "name": arguments.name or "",
        "states": arguments.state or [],
        "role": arguments.role or "",
    }


def _ask(arguments: argparse.Namespace) -> Items:
    which = {"network": arguments.network, "member": arguments.member}
    if arguments.verb == "forget" and arguments.force:
        which["force"] = True
    if arguments.verb in QUESTIONS:
        question = f"{QUESTIONS[arguments.verb]} {arguments.member} in {arguments.network}?"
        confirm(arguments, question)
    return ask(arguments, f"member.{arguments.verb}", which)
