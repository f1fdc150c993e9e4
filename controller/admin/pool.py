"""`ncadm pool …`"""

import argparse
from typing import Any

from controller.admin.client import add_common, add_verbs, add_yes, ask, confirm
from runtime.cli import print_items
from runtime.usage import add_verb

COLUMNS = {"prefix": "prefix", "first": "first", "last": "last"}
USAGE = {
    "prefix": "prefix",
    "size": "size",
    "used": "used",
    "free": "free",
    "resting": "resting",
    "promised": "promised",
    "auto": "auto",
    "manual": "manual",
    "reserved": "reserved",
}
NAMED = "its prefix, such as 10.9.0.0/24; where a prefix has several, FIRST-LAST"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    add = add_verb(
        verbs,
        "add",
        "give a network another range",
        "ncadm pool add home 10.10.0.0/24",
        "ncadm pool add home 10.10.0.0/24 --first 10.10.0.10 --last 10.10.0.99",
    )
    listing = add_verb(verbs, "list", "list the ranges of a network", "ncadm pool list home")
    usage = add_verb(verbs, "usage", "show how much of each range is used", "ncadm pool usage home")
    remove = add_verb(
        verbs,
        "remove",
        "take a range away",
        "ncadm pool remove home 10.9.0.0/24 --renumber --dry-run",
    )
    change = add_verb(
        verbs,
        "set",
        "make a range larger, smaller or another",
        "ncadm pool set home 10.9.0.0/24 --prefix 10.9.0.0/22",
        "ncadm pool set home 10.9.0.0/24 --last 10.9.0.99 --renumber",
    )
    for verb in (add, listing, usage, remove, change):
        verb.add_argument("network", metavar="NETWORK", help="its name or id")
    add.add_argument("range", metavar="RANGE", help="such as 10.9.0.0/24 or fd00:9::/64")
    for verb in (remove, change):
        verb.add_argument("range", metavar="RANGE", help=NAMED)
        stranded = verb.add_mutually_exclusive_group()
        stranded.add_argument(
            "--renumber",
            action="store_true",
            help="members whose addresses do not fit any more get others at once",
        )
        stranded.add_argument("--force", action="store_true", help="they keep their addresses")
    change.add_argument("--prefix", default="", metavar="PREFIX", help="what it is to be")
    for verb in (add, change):
        for end, said in (("first", "lowest"), ("last", "highest")):
            verb.add_argument(
                f"--{end}",
                default="",
                metavar="ADDRESS",
                help=f"the {said} that members get (default: of the prefix)",
            )
    for verb in (add, listing, usage, remove, change):
        add_common(verb)
    add_yes(remove)


def run(arguments: argparse.Namespace) -> int:
    verb = arguments.verb
    wanted: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("network", "range", "prefix", "first", "last", "renumber", "force")
        if hasattr(arguments, name)
    }
    if verb == "remove":
        confirm(arguments, f"Remove {arguments.range} of network {arguments.network}?")
    items = ask(arguments, f"pool.{verb}", wanted)
    if arguments.output == "table":
        items = [{key: _cell(value) for key, value in item.items()} for item in items]
    print_items("pool", items, USAGE if verb == "usage" else COLUMNS, output=arguments.output)
    return 0


def _cell(value: object) -> object:
    """The controller tells no larger number: JSON's readers would get it wrong."""
    return "more than 9e15" if isinstance(value, int) and value >= 2**53 else value
