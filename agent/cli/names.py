"""Names of things for the completion of a shell, from this node's status files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.completion import Candidate, Place

if TYPE_CHECKING:
    from agent.explain import Facts


def names(metavar: str, _: Place) -> Sequence[Candidate]:
    from agent.cli.facts import read_facts

    return known(metavar, read_facts())


def known(metavar: str, facts: "Facts") -> Sequence[Candidate]:
    from agent.explain import topics

    match metavar:
        case "NETWORK":
            return [Candidate(network.name or network.network) for network in facts.networks]
        case "RESOURCE":
            return [Candidate(one.name, one.ipv4 or one.ipv6) for one in facts.resources]
        case "NAMESPACE":
            return [Candidate(name) for name in workload_spaces()]
        case "TOPIC":
            return [Candidate(topic) for topic in topics(facts)]
        case _:
            return []


def workload_spaces() -> list[str]:
    """Named namespaces that are not zosnet's own."""
    from pathlib import Path

    from runtime.paths import RUN

    marks = RUN / "namespaces"
    names = sorted(path.name for path in Path("/run/netns").glob("*"))
    return [name for name in names if not (marks / name).exists()]
