"""`ncadm key admin …`: who may administer from elsewhere."""

import argparse
from typing import Any

from controller.admin.client import add_common, add_yes, ask, confirm
from runtime.cli import print_items
from runtime.usage import add_verb

COLUMNS = {"name": "name", "key": "key", "created": "created", "created_by": "by"}


def add_admin(verbs: "argparse._SubParsersAction[Any]") -> None:
    parser = add_verb(
        verbs,
        "admin",
        "who may administer from elsewhere: add, list, remove",
        "ncadm key admin add alice KEY",
    )
    deeds = parser.add_subparsers(title="commands", dest="deed", metavar="COMMAND", required=True)
    add = add_verb(deeds, "add", "let somebody administer over the network")
    add.add_argument("name", metavar="NAME", help="as whom the audit log shows them")
    add.add_argument("public", metavar="KEY", help="what ncadm keygen printed: 64 hex digits")
    add_verb(deeds, "list", "list the keys that may administer")
    remove = add_verb(deeds, "remove", "shut a key out, at once")
    remove.add_argument("name", metavar="NAME", help="as list shows it")
    for deed in deeds.choices.values():
        add_common(deed)
    add_yes(remove)


def run(arguments: argparse.Namespace) -> int:
    deed = arguments.deed
    if deed == "remove":
        confirm(arguments, f"Shut {arguments.name} out?")
    wanted = {} if deed == "list" else {"name": arguments.name}
    if deed == "add":
        wanted["key"] = arguments.public.lower()
    items = ask(arguments, f"key.admin.{deed}", wanted)
    print_items("admin key", items, COLUMNS, output=arguments.output)
    return 0
