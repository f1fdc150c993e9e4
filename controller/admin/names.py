"""Names of things for the completion of a shell: asked from the controller, quickly or not at all."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.completion import Candidate, Place

if TYPE_CHECKING:
    from protocol.admin import Result

PATHS = ("socket", "own_key", "context")
MOST, TIMEOUT = 500, 1.0  # names, seconds


def names(metavar: str, place: Place) -> Sequence[Candidate]:
    """Empty when nobody can be asked. Raises CannotError like any call; the shell shows nothing."""
    match metavar:
        case "NETWORK":
            return [Candidate(i["name"], i["desc"]) for i in _list(place, "network.list", {}).items]
        case "MEMBER" if place.said:
            call = {"network": place.said[0]}
            items = _list(place, "member.list", call).items
            return [Candidate(i["name"] or i["address"], i["state"]) for i in items]
        case "TOKEN":
            items = _list(place, "token.list", {}).items
            return [Candidate(i["token"], f"{i['network']}, {i['state']}") for i in items]
        case _:
            return []


def _list(place: Place, verb: str, call: dict[str, Any]) -> "Result":
    from controller.admin.client import Line

    given = {dest: Path(v) if dest in PATHS else v for dest, v in place.options.items()}
    arguments = argparse.Namespace(**given)
    with Line(arguments) as line:
        return line.ask(verb, {**call, "limit": MOST}, timeout=TIMEOUT)
