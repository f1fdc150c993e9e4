"""Configuration that people write: YAML, strict.

A config is a msgspec struct with a default for every key, declared with forbid_unknown_fields.
What a person gets wrong is said with the file, the key and the nearest key that exists:
unknown and double keys, wrong types, aliases, and the YAML traps (an unquoted MAC is a number).
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from runtime.failure import CannotError, Exit

T = TypeVar("T")
MAX_SIZE = 256 * 1024
MAX_DEPTH = 32  # libyaml's composer recurses on the C stack: 50 000 brackets end the process


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a daemon's log goes beside stderr, and how much of it there is."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    # A file a day goes there, seven are kept, a link leads to today's; empty: none.
    directory: str = ""

    def __post_init__(self) -> None:
        if self.directory and not self.directory.startswith("/"):
            raise ValueError(f"directory: {self.directory!r} does not begin with /")

    @property
    def path(self) -> Path | None:
        return Path(self.directory) if self.directory else None


class ConfigError(CannotError):
    """The file is there and cannot be used; the message names the key."""

    def __init__(self, path: Path, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot use {path}: {reason}", hint=hint, code=Exit.USAGE)


def load_config(path: Path, kind: type[T], *, must_exist: bool = False) -> T:
    """The config in `path`; all defaults when the file does not exist. Raises ConfigError."""
    return convert_config(load_document(path, must_exist=must_exist), kind, path)


def load_document(path: Path, *, must_exist: bool = False) -> dict[str, Any]:
    """The keys in `path`, not looked at yet; none when the file does not exist. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return _read_document(file.read(MAX_SIZE + 1), path)
    except FileNotFoundError as error:
        if must_exist:
            raise ConfigError(path, "there is no such file") from error
        return {}
    except OSError as error:
        denied = isinstance(error, PermissionError)
        hint = "run it with sudo" if denied else None
        raise ConfigError(path, error.strerror or str(error), hint=hint) from error


def parse_config(data: bytes, kind: type[T], path: Path) -> T:
    """`data` as a `kind`; `path` is only named in errors. Raises ConfigError."""
    return convert_config(_read_document(data, path), kind, path)


def convert_config(document: Mapping[str, Any], kind: type[T], path: Path) -> T:
    """Keys that were read from `path` as a `kind`. Raises ConfigError."""
    try:
        return msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        reason, hint = explain_invalid(str(error), document, kind, yaml=True)
        raise ConfigError(path, reason, hint=hint) from error


def _read_document(data: bytes, path: Path) -> dict[str, Any]:
    if len(data) > MAX_SIZE:
        raise ConfigError(path, f"it has more than {MAX_SIZE} bytes")
    document = read_yaml(data, path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(path, "it is not a list of `key: value` lines")
    return document


def read_yaml(data: bytes, path: Path) -> Any:
    """What stands there, of whatever shape; `path` is only named in errors. Raises ConfigError."""
    import yaml  # noqa: PLC0415  # 14 ms that only a program with a config file pays

    class Loader(yaml.CSafeLoader):
        """Safe, and without double keys, of which YAML silently takes the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                line = key_node.start_mark.line + 1
                if not isinstance(key, str):
                    raise yaml.YAMLError(f"line {line}: YAML reads a key as {key!r}: quote it")
                if key in seen:
                    raise yaml.YAMLError(f"line {line}: the key {key!r} stands twice")
                seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(path, f"it is not UTF-8 text (byte {error.start + 1})") from error
    try:
        _check_shape(yaml, data)
        return yaml.load(data, Loader)  # noqa: S506  # the loader is a safe one
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(path, f"{where}{problem}") from error


def _check_shape(yaml: Any, data: bytes) -> None:
    """Refuse what must not reach the composer: aliases, of which 1 kB unfolds to gigabytes, depth."""
    depth = documents = 0
    for event in yaml.parse(data, yaml.CSafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"line {line}: aliases (*{event.anchor}) are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"line {line}: nested deeper than {MAX_DEPTH}")
        if documents > 1:
            raise yaml.YAMLError(f"line {line}: a second document (---) begins")


def explain_invalid(
    said: str, document: Mapping[str, Any], kind: type[Any], *, yaml: bool = False
) -> tuple[str, str | None]:
    """A msgspec message in the words of somebody who wrote `document`, and a hint. `yaml`: also
    what YAML makes of text that is not quoted.
    """
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", said, re.DOTALL)
    reason, key = (match[1], match[2] or "") if match else (said, "")
    steps = _steps(key)
    value = _value_at(document, steps)
    wrong = re.fullmatch(r"Expected `(.+)`, got `(\w+)`", reason)
    misread = _misread(wrong[1].split(" | "), wrong[2], value) if wrong and yaml else None
    text, hint = misread or _reword(reason, steps, value, kind)
    return f"{key}: {text}" if key else text, hint


def _reword(reason: str, steps: list[str], value: Any, kind: type[Any]) -> tuple[str, str | None]:
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason, re.DOTALL):
        known = sorted(_keys_at(kind, steps))
        near = _nearest(unknown[1], known)
        return f"unknown key {unknown[1]!r}", near or f"known keys: {', '.join(known)}"
    if wrong := re.fullmatch(r"Expected `(.+)`, got `\w+`", reason):
        return _unfit(wrong[1].split(" | "), value)
    if word := re.fullmatch(r"Invalid enum value '(.*)'", reason, re.DOTALL):
        choices = _choices_at(kind, steps)
        return f"{word[1]!r} is not one of {', '.join(choices)}", _nearest(word[1], choices)
    if missing := re.fullmatch(r"Object missing required field `(.*)`", reason):
        return f"the key {missing[1]!r} is missing", None
    return _limit(reason, value), None


def _nearest(word: str, known: list[str]) -> str | None:
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else None


def _limit(reason: str, value: Any) -> str:
    """`Expected `int` >= 256` and its like, or a sentence of a struct's own check."""
    limit = re.fullmatch(r"Expected `(int|float|array|str)` (of length )?(>=|<=) (\S+)", reason)
    if limit is None:
        return f"{reason[:1].lower()}{reason[1:]}"
    most = "at least" if limit[3] == ">=" else "at most"
    unit = {"array": " entries", "str": " characters"}.get(limit[1], "")
    has = len(value) if limit[2] and hasattr(value, "__len__") else value
    return f"{most} {limit[4]}{unit} needed, not {has}"


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}


def _unfit(expected: list[str], value: Any) -> tuple[str, str | None]:
    """A value of another type than is needed, and how to write one that fits."""
    needed = " or ".join(_WORDS.get(word, word) for word in expected)
    has = f"{value!r} is" if isinstance(value, (str, int, float)) else "this is"
    hint = None
    if "array" in expected and isinstance(value, str):
        hint = f"write it as a list: [{value}]"
    elif "object" in expected:
        hint = "write its keys below it, each with a value"
    return f"{has} not {needed}", hint


def _misread(expected: list[str], got: str, value: Any) -> tuple[str, str | None] | None:
    """What YAML made of text that is not quoted, and what to do about it; None: no such case."""
    match got:
        case "int" | "float" if "str" in expected:
            hint = 'quote it: MAC addresses such as "52:54:00:12:34:56" are numbers to YAML'
            return (
                f"YAML reads this as {'a number' if value is None else f'the number {value}'}, text is needed",
                hint,
            )
        case "bool" if "str" in expected:
            hint = "quote it: yes, no, on and off are booleans to YAML"
            return (
                f"YAML reads this as {value if value is not None else 'a boolean'}, text is needed",
                hint,
            )
        case "date" | "datetime" if "str" in expected:
            return "YAML reads this as a date, text is needed", "quote it"
        case "null":
            return "it has no value", "give it one, or leave the key out"
        case _:
            return None


def _steps(place: str) -> list[str]:
    """`a.b[0][...].c` as msgspec writes places: a, b, 0, ..., c."""
    return re.findall(r"\.\.\.|[^.\[\]]+", place)


def _keys_at(kind: Any, steps: list[str]) -> set[str]:
    """The keys of the structs that may stand at this place."""
    structs = _structs(kind)
    for step in steps:
        if step != "..." and not step.isdecimal():  # an index: _structs looked through lists
            fields = [f for struct in structs for f in msgspec.structs.fields(struct)]
            structs = [s for f in fields if f.encode_name == step for s in _structs(f.type)]
    return {f.encode_name for struct in structs for f in msgspec.structs.fields(struct)}


def _choices_at(kind: Any, steps: list[str]) -> list[str]:
    """The words that may stand at this place."""
    named = [step for step in steps if step != "..." and not step.isdecimal()]
    structs = [kind]
    for step in named[:-1]:
        fields = [f for struct in structs for f in msgspec.structs.fields(struct)]
        structs = [s for f in fields if f.encode_name == step for s in _structs(f.type)]
    fields = [f for struct in structs for f in msgspec.structs.fields(struct)]
    return [w for f in fields if f.encode_name == named[-1] for w in _words(f.type)]


def _words(annotation: Any) -> list[str]:
    """The words in `Literal["a", "b"] | None`."""
    inside = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is Literal:
        return [str(word) for word in inside]
    return [word for inner in inside for word in _words(inner)]


def _structs(annotation: Any) -> list[Any]:
    """The struct types in `Sub`, `Sub | None`, `list[Sub]`, `dict[str, Sub]`."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [s for inner in getattr(annotation, "__args__", ()) for s in _structs(inner)]


def _value_at(document: Any, steps: list[str]) -> Any:
    """What stands there, or None when the place does not say it all (`[...]`: some key)."""
    value = document
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
