"""Configuration that people write: YAML, strict.

A config is a msgspec struct with a default for every key, declared with forbid_unknown_fields.
What a person gets wrong is said with the file, the key and the nearest key that exists:
unknown and double keys, wrong types, aliases, and the YAML traps (an unquoted MAC is a number).
"""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime.failure import CannotError, Exit

T = TypeVar("T")
MAX_SIZE = 256 * 1024


class ConfigError(CannotError):
    def __init__(self, path: Path, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot use {path}: {reason}", hint=hint, code=Exit.USAGE)


def load_config(path: Path, kind: type[T]) -> T:
    """The config in `path`; all defaults when the file does not exist. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return kind()
    except OSError as error:
        raise ConfigError(path, error.strerror or str(error)) from error
    return parse_config(data, kind, path)


def parse_config(data: bytes, kind: type[T], path: Path) -> T:
    """`data` as a `kind`; `path` is only named in errors. Raises ConfigError."""
    if len(data) > MAX_SIZE:
        raise ConfigError(path, f"it has {len(data)} bytes, more than {MAX_SIZE}")
    document = _read_yaml(data, path)
    if document is None:
        return kind()
    if not isinstance(document, dict):
        raise ConfigError(path, "it is not a list of `key: value` lines")
    try:
        return msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _explain(path, str(error), document, kind) from error


def _read_yaml(data: bytes, path: Path) -> Any:
    import yaml  # noqa: PLC0415  # 14 ms that only a program with a config file pays

    class Loader(yaml.CSafeLoader):
        """Safe, without aliases (a bomb of 1 kB unfolds to gigabytes) and without double keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not allowed")
            return super().compose_node(parent, index)  # type: ignore[misc]  # not in the stubs

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                line = key_node.start_mark.line + 1
                if not isinstance(key, str):
                    raise yaml.YAMLError(f"line {line}: the key {key!r} is not text: quote it")
                if key in seen:
                    raise yaml.YAMLError(f"line {line}: the key {key!r} stands twice")
                seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(data, Loader)  # noqa: S506  # the loader is a safe one
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error) or "nested too deeply"
        raise ConfigError(path, f"{where}{problem}") from error


def _explain(path: Path, reason: str, document: dict[str, Any], kind: type[Any]) -> ConfigError:
    """A msgspec message in the words of somebody who reads the file."""
    where = re.search(r" - at `(?:key in )?\$\.?(.*)`$", reason)
    key = where.group(1) if where else ""
    place = f"{key}: " if key else ""
    unknown = re.match(r"Object contains unknown field `(.*?)`", reason)
    if unknown:
        name = unknown.group(1)
        known = _known_keys(kind)
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return ConfigError(path, f"{place}unknown key {name!r}", hint=hint)
    said = re.sub(r" - at `.*`$", "", reason)
    said = said[0].lower() + said[1:]
    value = _value_at(document, key)
    if "got `int`" in reason and isinstance(value, int) and "`str`" in reason:
        return ConfigError(
            path,
            f"{place}YAML reads this as the number {value}, text is needed",
            hint='quote it: MAC addresses such as "52:54:00:12:34:56" are numbers to YAML',
        )
    if "got `bool`" in reason and "`str`" in reason:
        return ConfigError(
            path,
            f"{place}YAML reads this as {value}, text is needed",
            hint="quote it: yes, no, on and off are booleans to YAML",
        )
    return ConfigError(path, f"{place}{said}")


def _known_keys(kind: type[Any]) -> set[str]:
    keys: set[str] = set()
    todo, done = [kind], set()
    while todo:
        current = todo.pop()
        if current in done:
            continue
        done.add(current)
        for field in msgspec.structs.fields(current):
            keys.add(field.encode_name)
            todo += [t for t in _struct_types(field.type) if t not in done]
    return keys


def _struct_types(annotation: Any) -> list[type[Any]]:
    found = []
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        found.append(annotation)
    for argument in getattr(annotation, "__args__", ()):
        found += _struct_types(argument)
    return found


def _value_at(document: Any, key: str) -> Any:
    """Follow `a.b[0].c` as msgspec writes places."""
    value = document
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
