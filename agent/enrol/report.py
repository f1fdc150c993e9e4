"""A farm as `zosnet-agent status` is told of it. Pure."""

from collections.abc import Mapping

from agent.enrol.actions import Problem
from agent.enrol.machine import Machine
from agent.enrol.standing import Standing
from agent.enrol.status import EnrolledNetwork, FarmStatus
from agent.enrol.store import FarmFile
from protocol.messages import Welcome
from protocol.signed import StatementError
from runtime.failure import with_hint


def farm_status(
    file: FarmFile,
    machine: Machine,
    *,
    trouble: Problem | None,
    welcome: Welcome | None,
    tokens: int,
    admitted_at: float | None,
    away_since: float | None,
    now: float,
) -> FarmStatus:
    """`trouble`: of our own; it says more than what a controller refuses. `now`: the machine's."""
    problem = trouble or machine.problem
    return FarmStatus(
        controller_id=file.controller_id,
        connection=type(machine.state).__name__.lower(),
        controller=machine.controller.endpoint,
        away_since=away_since,
        silent_seconds=machine.silence(now),
        admitted=machine.admitted,
        tokens=tokens,
        address=welcome.address if welcome else "",
        observed=welcome.observed if welcome else "",
        admitted_seconds=admitted_at,
        problem=problem.message if problem else "",
        hint=problem.hint if problem else "",
        networks=[
            EnrolledNetwork(
                network=network,
                standing=known.standing.value,
                said=known.said if known.standing is not Standing.MEMBER else "",
                hint=known.hint if known.standing is not Standing.MEMBER else "",
            )
            for network, known in sorted(machine.memberships.items())
        ],
    )


def complaints(troubles: Mapping[str, Problem], machine: Machine) -> dict[str, str]:
    """Everything that is in the way, by what it is about."""
    said = {name: with_hint(p.message, p.hint) for name, p in troubles.items()}
    if machine.problem is not None:
        said[""] = with_hint(machine.problem.message, machine.problem.hint)
    for network, known in machine.memberships.items():
        if known.standing in (Standing.REFUSED, Standing.WAITING):
            sentence = f"network {network} {known.standing.value}: {known.said}"
            said[network] = with_hint(sentence, known.hint)
    return said


def older_keyset(farm: str, number: int, held: int) -> Problem:
    return Problem(
        f"cannot take keyset {number} of farm {farm}: this node holds {held}",
        "was an old backup put back on the controller? see there: ncadm key show",
    )


def untrusted_keyset(farm: str, error: StatementError) -> Problem:
    return Problem(
        f"cannot trust the controller of farm {farm}: its keyset is not believed: {error}",
        "is the join string of this controller? make a new one: ncadm token create NETWORK;"
        f" forget this one: zosnet-agent leave {farm}",
    )
