"""What a config comes to: every key with its value, its default and its unit, for people to read.

    for setting in settings_of(config): print(setting.key, setting.value, setting.default, setting.unit)

A key's unit stands in its type: Annotated[int, msgspec.Meta(extra={"unit": "MiB"})].
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_type_hints

import msgspec

COLUMNS = {"key": "key", "value": "value", "default": "default", "unit": "unit"}


class Setting(NamedTuple):
    """`value` and `default` as YAML writes them; the default of a key that must be given: needed."""

    key: str
    value: str
    default: str
    unit: str

    def item(self) -> dict[str, str]:
        return self._asdict()


def settings_of(config: msgspec.Struct, prefix: str = "") -> Iterator[Setting]:
    """Every key, in the order in which the config declares them; those of structs as `a.b`."""
    hints = get_type_hints(type(config), include_extras=True)
    for field in msgspec.structs.fields(config):
        key, value = f"{prefix}{field.encode_name}", getattr(config, field.name)
        if isinstance(value, msgspec.Struct):
            yield from settings_of(value, f"{key}.")
        else:
            yield Setting(key, as_yaml(value), as_yaml(field.default), unit_of(hints[field.name]))


def unit_of(annotation: Any) -> str:
    """What a number of this type counts; empty when its type does not say."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and "unit" in meta.extra:
            return str(meta.extra["unit"])
    return ""


def as_yaml(value: object) -> str:
    """One line that YAML reads as this value."""
    match value:
        case msgspec.NODEFAULT:
            return "needed"
        case None | "":
            return "none"
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(_quoted(inner) for inner in value)}]"
        case msgspec.Struct():
            fields = msgspec.structs.asdict(value).items()
            return (
                f"{{{', '.join(f'{k}: {_quoted(v)}' for k, v in fields if v not in ('', None))}}}"
            )
        case _:
            return str(value)


def _quoted(value: object) -> str:
    text = as_yaml(value)
    risky = isinstance(value, str) and any(c in text for c in "*[]{},&!|>'\"%@`#")
    return f'"{text}"' if risky or value in ("", "off", "on", "yes", "no") else text
