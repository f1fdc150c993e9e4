"""Links for tests, as the kernel would show them."""

from typing import Any

from netns.values import Link

MAC = "52:54:00:00:00:01"


def make_link(name: str, **fields: Any) -> Link:
    """A physical NIC that is up and has a cable, but for `fields`."""
    fresh: dict[str, Any] = {
        "index": 2,
        "kind": None,
        "mac": MAC,
        "mtu": 1500,
        "up": True,
        "carrier": True,
        "master": None,
        "alias": "",
        "parent": None,
    }
    return Link(name=name, **(fresh | fields))
