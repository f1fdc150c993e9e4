"""What a config comes to, key by key."""

from typing import Annotated

import msgspec
import pytest

from runtime.settings import Setting, as_yaml, settings_of


class Inner(msgspec.Struct):
    on: bool = True
    wait: Annotated[float, msgspec.Meta(ge=0, extra={"unit": "s"})] = 2.5


class Outer(msgspec.Struct):
    name: str
    inner: Inner = msgspec.field(default_factory=Inner)
    ports: tuple[str, ...] = ("tcp://*:1",)
    size: Annotated[int, msgspec.Meta(extra={"unit": "MiB"}), "more"] = 7


def test_every_key_has_its_value_its_default_and_its_unit() -> None:
    assert list(settings_of(Outer("n", Inner(on=False), size=8))) == [
        Setting("name", "n", "needed", ""),
        Setting("inner.on", "false", "true", ""),
        Setting("inner.wait", "2.5", "2.5", "s"),
        Setting("ports", '["tcp://*:1"]', '["tcp://*:1"]', ""),
        Setting("size", "8", "7", "MiB"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ("", "none"),
        ((), "[]"),
        (("a", "off", "b*"), '[a, "off", "b*"]'),
        (1.0, "1.0"),
    ],
)
def test_values_are_written_as_yaml_reads_them(value: object, text: str) -> None:
    assert as_yaml(value) == text


def test_structs_in_lists_show_what_they_were_given() -> None:
    assert as_yaml((Outer("x", ports=()),)).startswith("[{name: x, inner: {on: true")
