"""The check that certificates are verified: a node is given a forged one on its own disk.

    ok, detail = altered_certificate_is_refused(farm, views, controller)

The controller is ended and n3 loses its power. On its disk one bit of n2's address is flipped in
the netmap it has kept, then it boots, with nobody to ask. It must reach n1, refuse n2 and say so;
once the controller is back it must have the true certificate again and reach n2.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from lab.checks import Views
from lab.farm import Farm
from lab.host import Process
from lab.knock import Answer, knock
from lab.node import Node
from lab.programs import serve
from lab.view import NodeView, look
from runtime.failure import CannotError

VICTIM, FORGED, TRUE = "n3", "n2", "n1"
WITHIN_S = 20.0
_LOOK_EACH = 0.05


def altered_certificate_is_refused(
    farm: Farm, views: Views, controller: Process
) -> tuple[bool, str]:
    node, layout = farm.nodes[VICTIM], views[VICTIM].layout
    controller.terminate()
    controller.wait(10)
    node.power_cut()
    forge(netmap_of(node), FORGED)
    node.boot(programs=True)
    view = await_view(node, layout, lambda seen: bool(seen.seconds.get("overlay")), "an overlay")
    true = ask(node, view, views[TRUE], seconds=5)
    forged = ask(node, view, views[FORGED], seconds=1)
    refusal = next(
        (r.reason for n in view.daemon.networks for r in n.refusals if r.name == FORGED), ""
    )
    serve(farm.controller)
    await_view(
        node, layout, lambda seen: not any(n.refusals for n in seen.daemon.networks), "a true one"
    )
    healed = ask(node, view, views[FORGED], seconds=5)
    said = f"{FORGED}'s: {refusal or 'NOT refused'}; {FORGED} {_say(forged)}, {TRUE} {_say(true)}"
    said += f"; with the controller back: {FORGED} {_say(healed)}"
    ok = bool(refusal) and _all(true) and not any(a.answered for a in forged) and _all(healed)
    return ok, said


def netmap_of(node: Node) -> Path:
    """Where the node keeps the netmap of its only network."""
    found = sorted(node.disk.glob("var/lib/zosnet/networks/*/netmap.json"))
    if len(found) != 1:
        raise CannotError(f"cannot alter a certificate: {node.name} keeps {len(found)} netmaps")
    return found[0]


def forge(netmap: Path, name: str) -> None:
    """Flip the lowest bit of the first IPv4 address in the certificate of member `name`."""
    kept = json.loads(netmap.read_text())
    rows: list[Any] = kept["rows"]
    signed = next(row[0] for row in rows if row[1] == name)
    payload = bytearray(base64.b64decode(signed[0]))
    # In MessagePack: bytes of length 5, which are an address and its prefix length.
    place = payload.index(b"\xc4\x05") + 2 + 3
    payload[place] ^= 1
    signed[0] = base64.b64encode(payload).decode()
    netmap.write_text(json.dumps(kept))


def await_view(node: Node, layout: str, come: Callable[[NodeView], bool], what: str) -> NodeView:
    deadline = monotonic() + WITHIN_S
    while True:
        view = look(node.path("/"), node.name, layout)
        if come(view):
            return view
        if monotonic() > deadline:
            raise CannotError(f"cannot see {what} on {node.name} within {WITHIN_S:g} s")
        sleep(_LOOK_EACH)


def ask(node: Node, view: NodeView, target: NodeView, *, seconds: float) -> list[Answer]:
    targets = [f"icmp/{address}" for address in target.overlay]
    return list(knock(node, targets, namespace=view.namespace, seconds=seconds).values())


def _all(answers: list[Answer]) -> bool:
    return bool(answers) and all(answer.answered for answer in answers)


def _say(answers: list[Answer]) -> str:
    return (
        "answers"
        if _all(answers)
        else "is silent"
        if not any(a.answered for a in answers)
        else "answers in part"
    )
