"""Keys of agent.yaml on the kernel's command line, for nodes that boot from the network. Pure.

    document = parse_cmdline("ro zosnet.clock=step zosnet.uplink.vlan=123")
    # {"clock": "step", "uplink": {"vlan": 123}}

A value is written as in agent.yaml. With spaces in it the whole word stands in double quotes, as the
kernel has it. Of two words for one key the later counts. What is not ours is passed over, but for
zos's own word for one of our keys.
"""

import re
from pathlib import Path
from typing import Any

from runtime.config import ConfigError, read_yaml

PATH = Path("/proc/cmdline")
PREFIX = "zosnet."
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_ZOS = {"vlan:priv": "uplink.vlan"}
_UNTAGGED = ("none", "untagged", "un")  # zos's words


def parse_cmdline(text: str) -> dict[str, Any]:
    """What agent.yaml would hold. Raises ConfigError."""
    document: dict[str, Any] = {}
    for word in _WORD.findall(text):
        name, equals, value = word.removeprefix('"').removesuffix('"').partition("=")
        value = value.removeprefix('"')
        if name in _ZOS and value not in _UNTAGGED:
            _put(document, _ZOS[name], value)
        elif name.startswith(PREFIX):
            key = name.removeprefix(PREFIX)
            if not equals:
                raise ConfigError(PATH, f"{name} has no value", hint=f"write {name}=VALUE")
            _put(document, key, value)
    return document


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both, and `over` where they disagree."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = merged(below, value)  # noqa: PLW2901
        both[key] = value
    return both


def _put(document: dict[str, Any], key: str, text: str) -> None:
    *parents, last = key.split(".")
    inside = document
    for parent in parents:
        inside = inside.setdefault(parent, {})
        if not isinstance(inside, dict):
            raise ConfigError(PATH, f"{PREFIX}{key}: {parent} has a value of its own already")
    inside[last] = read_yaml(text.encode(), PATH)
