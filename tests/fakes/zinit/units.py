"""A unit file as zinit reads it: which keys it knows, and what makes it reject the file."""

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class UnitError(Exception):
    """zinit would not take this file."""


@dataclass(frozen=True)
class Unit:
    exec: str
    test: str = ""
    oneshot: bool = False
    shutdown_timeout: int = 10
    after: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    log: str = "ring"
    env: dict[str, str] = field(default_factory=dict)
    dir: str = ""


def load_unit(path: Path) -> Unit:
    """The unit in `path`; UnitError when zinit would reject it.

    Every scalar is text until a key wants something else, so `log: null` is the log "null".
    """
    try:
        keys = yaml.load(path.read_bytes(), yaml.CBaseLoader)  # noqa: S506  # makes text only
    except (OSError, yaml.YAMLError) as error:
        raise UnitError(str(error)) from error
    if not isinstance(keys, dict):
        raise UnitError("expected a map")
    unit = Unit(
        exec=_text(keys, "exec"),
        test=_text(keys, "test"),
        oneshot=_one_of(("false", "true"), _text(keys, "oneshot", "false").lower()) == "true",
        shutdown_timeout=_seconds(_text(keys, "shutdown_timeout", "10")),
        after=_list(keys, "after"),
        stop_signal=parse_signal(_map(keys, "signal").get("stop", "sigterm")),
        log=_one_of(("none", "ring", "stdout"), _text(keys, "log", "ring")),
        env=_map(keys, "env"),
        dir=_text(keys, "dir"),
    )
    if not unit.exec:
        raise UnitError("missing exec directive")
    return unit


def _text(keys: dict[str, Any], key: str, default: str = "") -> str:
    value = keys.get(key, default)
    if not isinstance(value, str):
        raise UnitError(f"{key}: expected a string")
    return value


def _one_of(known: tuple[str, ...], text: str) -> str:
    if text not in known:
        raise UnitError(f"unknown variant `{text}`, expected one of {', '.join(known)}")
    return text


def _seconds(text: str) -> int:
    if not text.isdecimal():
        raise UnitError(f"invalid value {text!r}, expected u64")
    return int(text)


def _list(keys: dict[str, Any], key: str) -> tuple[str, ...]:
    value = keys.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UnitError(f"{key}: expected a sequence of strings")
    return tuple(value)


def _map(keys: dict[str, Any], key: str) -> dict[str, str]:
    value = keys.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise UnitError(f"{key}: expected a map of strings")
    return value


def parse_signal(name: str) -> signal.Signals:
    try:
        return signal.Signals[name.upper()]
    except KeyError:
        raise UnitError("EINVAL: Invalid argument") from None
