"""`ncadm member set …` and `add …`: what an operator says of a member."""

import argparse
from pathlib import Path

from controller.admin.client import Items, ask
from runtime.usage import add_verb


def add_member(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="its name or id")
    parser.add_argument("member", metavar="MEMBER", help="its name or address (10 hex digits)")


def add_verbs_to(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_new(verbs)
    _add_adopt(verbs)
    change = add_verb(
        verbs,
        "set",
        "change a member's name, addresses, prefixes, notes, roles",
        "ncadm member set home n1 --role transit",
        "ncadm member set home n1 --role none",
        "ncadm member set home n1 --address 10.9.0.7 --prefix 192.168.5.0/24",
        "ncadm member set home 9791cae5c1 --hide",
    )
    add_member(change)
    _add_facts(change)
    change.add_argument("--ui", metavar="JSON", help="kept for a user interface")
    change.add_argument(
        "--bridge",
        action=argparse.BooleanOptionalAction,
        help="kept, without effect (no layer 2)",
    )
    shown = change.add_mutually_exclusive_group()
    shown.add_argument(
        "--hide",
        dest="hidden",
        action="store_true",
        default=None,
        help="list it only with --all, also when it comes again",
    )
    shown.add_argument(
        "--unhide", dest="hidden", action="store_false", default=None, help="list it again"
    )
    change.add_argument(
        "--not-cloned",
        dest="cloned",
        action="store_false",
        default=None,
        help="the copy of its disk is gone: show the mark no more",
    )


def change(arguments: argparse.Namespace) -> Items:
    wanted = {
        "network": arguments.network,
        "member": arguments.member,
        "hidden": arguments.hidden,
        "cloned": arguments.cloned,
        "ui": arguments.ui,
        "bridge": arguments.bridge,
        **_facts(arguments),
    }
    return ask(arguments, "member.set", {k: v for k, v in wanted.items() if v is not None})


def add(arguments: argparse.Namespace) -> Items:
    known = {k: v for k, v in _facts(arguments).items() if v is not None}
    return ask(
        arguments,
        "member.add",
        {"network": arguments.network, "key": arguments.node_key.lower(), **known},
    )


def _add_new(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    new = add_verb(
        verbs,
        "add",
        "let in a node by its key before it comes, and print a join string without a token",
        "ncadm member add home KEY --name n7",
        "ncadm member add home KEY --address 10.9.0.77 --output-file join",
    )
    new.add_argument("network", metavar="NETWORK", help="its name or id")
    new.add_argument("node_key", metavar="KEY", help="the node's, as `zosnet-agent key` prints it")
    _add_facts(new)
    new.add_argument("--output-file", type=Path, metavar="FILE", help="write the join string there")


def adopt(arguments: argparse.Namespace) -> Items:
    wanted = {
        "network": arguments.network,
        "member": arguments.member,
        "key": arguments.node_key.lower(),
    }
    return ask(arguments, "member.adopt", wanted)


def _add_adopt(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adopting = add_verb(
        verbs,
        "adopt",
        "give an imported member without a key the key of its node, and print a join string",
        "ncadm member adopt home server KEY",
    )
    add_member(adopting)
    adopting.add_argument(
        "node_key", metavar="KEY", help="the node's, as `zosnet-agent key` prints it"
    )
    adopting.add_argument(
        "--output-file", type=Path, metavar="FILE", help="write the join string there"
    )


def _add_facts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="what it is called from now on")
    parser.add_argument("--notes", metavar="TEXT", help="for people; no node sees them")
    for option, said in (
        ("address", "its overlay address; all that it is to have by hand, or none"),
        ("prefix", "routed to it beside its addresses; all that there are to be, or none"),
        ("role", "hub, management, mint, transit; all that it is to have, or none"),
    ):
        parser.add_argument(f"--{option}", action="append", metavar=option.upper(), help=said)


def _facts(arguments: argparse.Namespace) -> dict[str, object]:
    return {
        "name": arguments.name,
        "notes": arguments.notes,
        "addresses": _listed(arguments.address),
        "prefixes": _listed(arguments.prefix),
        "roles": _listed(arguments.role),
    }


def _listed(words: list[str] | None) -> list[str] | None:
    """Of an option that can be repeated, and cleared by the word `none`."""
    return None if words is None else [word for word in words if word != "none"]
