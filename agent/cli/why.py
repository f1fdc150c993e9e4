"""`zosnet-agent why`: the reasons. Without a word: everything that is not as it should be."""

import argparse
import json

from runtime.cli import SCHEMA, add_output
from runtime.failure import CannotError, Exit

EXAMPLES = ("zosnet-agent why", "zosnet-agent why uplink", "zosnet-agent why n3")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "topic",
        nargs="?",
        metavar="TOPIC",
        help="uplink, ndmz, a network, a network resource, or a peer by name or address"
        " (default: all that is not as it should be)",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    import difflib

    from agent import explain
    from agent.cli.facts import read_facts

    facts = read_facts()
    if arguments.topic is None:
        lines = explain.waits(facts) or [("node", "everything is as it should be")]
    else:
        found = explain.why(facts, arguments.topic)
        if found is None:
            known = explain.topics(facts)
            near = difflib.get_close_matches(arguments.topic, known, 1)
            raise CannotError(
                f"cannot say why: this node knows no {arguments.topic!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
                code=Exit.NOT_FOUND,
            )
        lines = [*found, *(_left_out() if arguments.topic == "uplink" else [])]
    if arguments.output == "json":
        items = [{"about": about, "said": said} for about, said in lines]
        print(json.dumps({"schema": SCHEMA, "kind": "reasons", "items": items}, indent=1))
    else:
        width = max(len(about) for about, _ in lines) + 2
        print("\n".join(f"{about:<{width}}{said}" for about, said in lines))
    return Exit.OK


def _left_out() -> list[tuple[str, str]]:
    """Links that are no candidates, each with its reason."""
    from agent.cli.outlook import read_outlook

    try:
        return [(name, f"left out: {reason}") for name, reason in read_outlook().left_out]
    except CannotError as error:
        return [("others", error.message)]
