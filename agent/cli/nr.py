"""`zosnet-agent nr`: network resources by hand, without an overlay: a network of this node's own, with a
way to the Internet and to nothing else.
"""

import argparse
import sys
from typing import Any

from agent.cli.nr_tables import known, print_list, print_one
from runtime.cli import add_output, print_error, require_root
from runtime.failure import CannotError, Exit
from runtime.usage import add_verb, nearest

PATIENCE = 30.0  # seconds: a hundred at once take some


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)
    create = add_verb(
        verbs,
        "create",
        "make network resources; twice is once",
        "zosnet-agent nr create blue --ipv4 10.1.1.0/24",
        "zosnet-agent nr create red green --ipv4 10.1.1.0/24 --ipv6 fd12:3456:789a::/64",
    )
    create.add_argument(
        "names", nargs="+", metavar="NAME", help="1 to 13 lower-case letters, digits and dashes"
    )
    create.add_argument("--ipv4", default="", metavar="PREFIX", help="its range for workloads")
    create.add_argument(
        "--ipv6",
        default="",
        metavar="PREFIX",
        help="the same for IPv6; none, or delegated (default): part of the site's prefix, if any",
    )
    add_output(create)
    add_output(add_verb(verbs, "list", "list them", "zosnet-agent nr list -o json"))
    show = add_verb(verbs, "show", "show one, with its workloads", "zosnet-agent nr show blue")
    add_output(_with_resource(show))
    delete = add_verb(
        verbs, "delete", "take them away; nothing is left", "zosnet-agent nr delete blue --yes"
    )
    delete.add_argument("names", nargs="+", metavar="RESOURCE", help="as list shows it")
    delete.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    _add_ends(verbs)


def _add_ends(verbs: "argparse._SubParsersAction[Any]") -> None:
    attach = add_verb(
        verbs,
        "attach",
        "plug a namespace into one; of a process: ip netns attach NAMESPACE PID",
        "zosnet-agent nr attach blue web",
        "zosnet-agent nr attach blue web --ipv4 10.1.1.80",
    )
    _with_namespace(_with_resource(attach))
    attach.add_argument(
        "--link", default="eth0", metavar="LINK", help="its name in there (default: eth0)"
    )
    attach.add_argument("--ipv4", metavar="ADDRESS", help="default: the first that is free")
    attach.add_argument("--ipv6", metavar="ADDRESS", help="default: the first that is free")
    add_output(attach)
    detach = add_verb(verbs, "detach", "unplug it again", "zosnet-agent nr detach blue web")
    _with_namespace(_with_resource(detach))


def _with_resource(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="RESOURCE", help="as list shows it")
    return parser


def _with_namespace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", help="as ip netns list shows it")


def run(arguments: argparse.Namespace) -> int:
    return {
        "create": _create,
        "list": _list,
        "show": _show,
        "delete": _delete,
        "attach": _attach,
        "detach": _detach,
    }[arguments.verb](arguments)


def _create(arguments: argparse.Namespace) -> int:
    from agent.nr.local import parse_local

    ranges = {"ipv4": arguments.ipv4, "ipv6": arguments.ipv6}
    for name in arguments.names:
        parse_local(name, **ranges)  # what is wrong with it is said without a networkd
    names = list(dict.fromkeys(arguments.names))
    what = f"create network resource {', '.join(names)}"
    done = _ask("nr.create", what, names=names, **ranges)
    refused = [
        CannotError(said["error"], hint=said["hint"], code=Exit(said["code"]))
        for said in done["refused"]
    ]
    if done["made"]:
        print_list(done["made"], arguments.output)
    for error in refused:
        print_error(error, as_json=arguments.output == "json")
    return refused[0].code if refused else Exit.OK


def _list(arguments: argparse.Namespace) -> int:
    import msgspec

    print_list([msgspec.to_builtins(one) for one in known()], arguments.output)
    return Exit.OK


def _show(arguments: argparse.Namespace) -> int:
    there = {one.name: one for one in known()}
    one = there.get(arguments.name)
    if one is None:
        raise CannotError(
            f"cannot show network resource {arguments.name!r}: there is none",
            hint=nearest(arguments.name, there) or "see: zosnet-agent nr list",
            code=Exit.NOT_FOUND,
        )
    print_one(one, arguments.output)
    return Exit.OK


def _delete(arguments: argparse.Namespace) -> int:
    names = list(dict.fromkeys(arguments.names))
    what = f"delete network resource {', '.join(names)}"
    if not arguments.yes and sys.stdin.isatty():
        answer = input(f"Workloads in {', '.join(names)} lose their network. Type yes: ")
        if answer.strip() != "yes":
            raise CannotError(f"cannot {what}: not confirmed", code=Exit.USAGE)
    _ask("nr.delete", what, names=names)
    print(f"deleted {', '.join(names)}")
    return Exit.OK


def _attach(arguments: argparse.Namespace) -> int:
    import msgspec

    from agent.nr.status import ResourceStatus

    name, namespace = arguments.name, arguments.namespace
    wanted = {"link": arguments.link, "ipv4": arguments.ipv4, "ipv6": arguments.ipv6}
    what = f"attach {namespace} to {name}"
    done = _ask("nr.attach", what, name=name, namespace=namespace, **wanted)
    print_one(msgspec.convert(done, ResourceStatus), arguments.output)
    return Exit.OK


def _detach(arguments: argparse.Namespace) -> int:
    name, namespace = arguments.name, arguments.namespace
    _ask("nr.detach", f"detach {namespace} from {name}", name=name, namespace=namespace)
    print(f"detached {namespace} from {name}")
    return Exit.OK


def _ask(verb: str, what: str, **arguments: Any) -> Any:
    from agent.control import ask

    require_root(what)
    return ask(verb, what=what, timeout=PATIENCE, **arguments)
