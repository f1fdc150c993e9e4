"""`ncadm prefix …`"""

import argparse

from controller.admin.client import (
    add_common,
    add_paging,
    add_verbs,
    add_yes,
    ask,
    confirm,
    print_list,
)
from runtime.cli import print_items
from runtime.usage import add_verb

POOL = {"prefix": "prefix", "length": "length", "leased": "leased", "size": "size"}
LEASE = {
    "prefix": "prefix",
    "state": "state",
    "member": "member",
    "name": "name",
    "pool": "pool",
    "released": "released",
}
HOLDER = {"address": "address", "name": "name", "prefixes": "prefixes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = add_verbs(parser)
    add = add_verb(
        verbs,
        "add",
        "give a network a prefix out of which members lease parts",
        "ncadm prefix add home 2001:db8:5::/48",
        "ncadm prefix add home 2001:db8:5::/48 --length 60",
    )
    remove = add_verb(verbs, "remove", "take away a prefix pool out of which nothing is leased")
    show = add_verb(verbs, "show", "show the prefix pools of a network", "ncadm prefix show home")
    listing = add_verb(verbs, "list", "list the leases of a network", "ncadm prefix list home")
    lease = add_verb(
        verbs, "lease", "give a member a part of a prefix pool", "ncadm prefix lease home n1"
    )
    release = add_verb(
        verbs,
        "release",
        "take a leased prefix from its member; it rests for a day",
        "ncadm prefix release home 2001:db8:5:1::/64",
    )
    for verb in (add, remove, show, listing, lease, release):
        verb.add_argument("network", metavar="NETWORK", help="its name or id")
    for verb in (add, remove, release):
        verb.add_argument("prefix", metavar="PREFIX", help="such as 2001:db8:5::/48")
    add.add_argument(
        "--length",
        type=int,
        default=64,
        metavar="BITS",
        help="of what one member gets (default: %(default)s)",
    )
    lease.add_argument("member", metavar="MEMBER", help="its name or address")
    lease.add_argument(
        "--pool", default="", metavar="PREFIX", help="out of this one (default: the first)"
    )
    for verb in (add, remove, show, listing, lease, release):
        add_common(verb)
    add_paging(listing)
    add_yes(release)


def run(arguments: argparse.Namespace) -> int:
    call = {
        name: getattr(arguments, name)
        for name in ("network", "prefix", "length", "member", "pool")
        if hasattr(arguments, name)
    }
    if arguments.verb == "list":
        print_list(arguments, "prefix.list", call, "lease", LEASE)
        return 0
    if arguments.verb == "release":
        confirm(arguments, f"Take {arguments.prefix} from its member?")
    items = ask(arguments, f"prefix.{arguments.verb}", call)
    gives = arguments.verb in ("lease", "release")
    kind, columns = ("member", HOLDER) if gives else ("prefix", POOL)
    print_items(kind, items, columns, output=arguments.output)
    return 0
