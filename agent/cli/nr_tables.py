"""Network resources as `zosnet-agent nr` prints them."""

from typing import TYPE_CHECKING, Any

from runtime.cli import lines, print_items, table

if TYPE_CHECKING:
    from agent.nr.status import ResourceStatus

COLUMNS = {
    "name": "name",
    "namespace": "namespace",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "outside": "outside",
    "guests": "workloads",
    "state": "state",
}


def print_list(items: list[dict[str, Any]], output: str) -> None:
    if output == "table":
        items = [item | {"guests": len(item["workloads"])} for item in items]
    print_items("resources", items, COLUMNS, output=output)


def print_one(one: "ResourceStatus", output: str) -> None:
    import msgspec

    if output == "json":
        print_items("resources", [msgspec.to_builtins(one)], {}, output=output)
        return
    print(lines(_facts(one)))
    if one.workloads:
        rows = [
            [w.namespace, w.link, ", ".join(w.addresses), w.problem or w.state]
            for w in one.workloads
        ]
        print(f"\n{table(rows, ['workload', 'link', 'addresses', 'state'])}")


def _facts(one: "ResourceStatus") -> list[tuple[str, str]]:
    from runtime.failure import with_hint

    facts = [
        ("name", one.name),
        ("state", one.state),
        ("ranges", ", ".join(filter(None, (one.ipv4, one.ipv6)))),
        ("namespace", one.namespace),
        ("bridge", f"{one.bridge}, {', '.join(one.gateways)}"),
        ("outside", ", ".join(one.outside) or "no way out yet"),
        ("mtu", str(one.mtu)),
    ]
    return [*facts, ("problem", with_hint(one.problem, one.hint))] if one.problem else facts


def known() -> "list[ResourceStatus]":
    """As networkd said last. Raises CannotError when it does not run."""
    from agent.cli.facts import read_facts
    from agent.control import NotRunningError

    facts = read_facts()
    if not facts.running or facts.daemon is None:
        raise NotRunningError("list network resources")
    return facts.daemon.resources
