"""Config files as people write them: what they get wrong is said with the place and a way out."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import MAX_SIZE, ConfigError, load_config, parse_config
from runtime.failure import Exit

PATH = Path("/etc/zosnet/farm.yaml")


class Nic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    mac: str | None = None
    names: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)] = ()
    mode: str = "auto"
    speed: Literal["slow", "fast"] | None = None


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str


class Farm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    nic: Nic = Nic()
    nics: list[Nic] = []
    by_site: dict[str, Nic] = {}
    sites: list[Site] = []
    timeout: Annotated[int, msgspec.Meta(ge=1)] = 3
    dry: bool = False


def parse(text: str) -> Farm:
    return parse_config(text.encode(), Farm, PATH)


GOOD = """
nic: {mac: "52:54:00:12:34:56", mode: "off"}
nics: [{names: [eth0, eth1]}]
by_site: {a: {mode: x}}
dry: yes
"""


def test_a_good_file_is_a_value() -> None:
    assert parse(GOOD) == Farm(
        nic=Nic(mac="52:54:00:12:34:56", mode="off"),
        nics=[Nic(names=("eth0", "eth1"))],
        by_site={"a": Nic(mode="x")},
        dry=True,
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}"])
def test_an_empty_file_is_all_defaults(text: str) -> None:
    assert parse(text) == Farm()


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("tiemout: 3", "unknown key 'tiemout'", "did you mean 'timeout'?"),
        ("nic: {mca: x}", "nic: unknown key 'mca'", "did you mean 'mac'?"),
        ("nics: [{nams: []}]", "nics[0]: unknown key 'nams'", "did you mean 'names'?"),
        ("by_site: {a: {mace: x}}", "by_site[...]: unknown key 'mace'", "did you mean 'mac'?"),
        # The nearest key is one that may stand there, not one from elsewhere in the file.
        ("nic: {timeout: 3}", "nic: unknown key 'timeout'", "known keys: mac, mode, names, speed"),
        ("timeout: soon", "timeout: 'soon' is not a whole number", None),
        ("timeout: 1.5", "timeout: 1.5 is not a whole number", None),
        ("timeout: 0", "timeout: at least 1 needed, not 0", None),
        (
            "nic: [1]",
            "nic: this is not keys with values",
            "write its keys below it, each with a value",
        ),
        ("nic: {names: eth0}", "nic.names: 'eth0' is not a list", "write it as a list: [eth0]"),
        ("nic: {names: [a, b, c, d]}", "nic.names: at most 3 entries needed, not 4", None),
        (
            "nic: {speed: fsat}",
            "nic.speed: 'fsat' is not one of slow, fast",
            "did you mean 'fast'?",
        ),
        ("nics: [{speed: x}]", "nics[0].speed: 'x' is not one of slow, fast", None),
        ("sites: [{}]", "sites[0]: the key 'name' is missing", None),
        ("nic:", "nic: it has no value", "give it one, or leave the key out"),
        (
            "nic: {mac: 52:54:00:12:34:56}",
            "nic.mac: YAML reads this as the number 41135085296, text is needed",
            'quote it: MAC addresses such as "52:54:00:12:34:56" are numbers to YAML',
        ),
        (
            "nics: [{}, {names: [52:54:00:12:34:56]}]",
            "nics[1].names[0]: YAML reads this as the number 41135085296, text is needed",
            'quote it: MAC addresses such as "52:54:00:12:34:56" are numbers to YAML',
        ),
        (
            "nic: {mode: off}",
            "nic.mode: YAML reads this as False, text is needed",
            "quote it: yes, no, on and off are booleans to YAML",
        ),
        (
            "by_site: {a: {mode: no}}",
            "by_site[...].mode: YAML reads this as a boolean, text is needed",
            "quote it: yes, no, on and off are booleans to YAML",
        ),
        (
            "nic: {mode: 2026-11-21}",
            "nic.mode: YAML reads this as a date, text is needed",
            "quote it",
        ),
        ("timeout: 3\ntimeout: 4", "line 2: the key 'timeout' stands twice", None),
        ("nic: {mac: a,\n mac: b}", "line 2: the key 'mac' stands twice", None),
        ("nic: &a {mac: x}\nnics: [*a]", "line 2: aliases (*a) are not allowed", None),
        ("dry: true\non: true", "line 2: YAML reads a key as True: quote it", None),
        ("- 1", "it is not a list of `key: value` lines", None),
        ("hello", "it is not a list of `key: value` lines", None),
        ("timeout: 3\n---\ntimeout: 4", "line 2: a second document (---) begins", None),
        ("nic: [", "line 2: did not find expected node content", None),
        (
            "timeout: 3\n  dry: yes",
            "line 2: mapping values are not allowed in this context",
            None,
        ),
        (
            "timeout: !!python/name:os.system x",
            "line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
            None,
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_a_way_out(
    text: str, reason: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)

    assert error.value.message == f"cannot use {PATH}: {reason}"
    assert error.value.hint == hint
    assert error.value.code == Exit.USAGE
    assert parse(GOOD).dry


@pytest.mark.parametrize("data", [b"\xff\xfe\xff", b'nic: {mode: "\x01"}', b"nic: \0"])
def test_bytes_that_are_no_text_are_an_error_of_one_line(data: bytes) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(data, Farm, PATH)

    assert "\n" not in error.value.message


def test_a_file_that_is_not_utf8_is_said_to_be_none() -> None:
    with pytest.raises(ConfigError) as error:
        parse_config("nic: {mode: Köln}".encode("latin-1"), Farm, PATH)

    assert error.value.message == f"cannot use {PATH}: it is not UTF-8 text (byte 14)"
    assert parse("nic: {mode: Köln}").nic.mode == "Köln"


def test_a_bomb_and_a_deep_nest_end_neither_the_memory_nor_the_process() -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from runtime.config import ConfigError, parse_config\n"
        "from tests.runtime.test_config import Farm\n"
        "bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x]']\n"
        "bomb += [f'a{i}: &a{i} [' + ','.join([f'*a{i - 1}'] * 9) + ']' for i in range(1, 12)]\n"
        "for text in ['\\n'.join(bomb), 'nic: ' + '[' * 200_000, 'nic: ' + '{a: ' * 50_000]:\n"
        "    try: parse_config(text.encode(), Farm, Path('x'))\n"
        "    except ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == [
        "cannot use x: line 2: aliases (*a0) are not allowed",
        "cannot use x: line 1: nested deeper than 32",
        "cannot use x: line 1: nested deeper than 32",
    ]
    assert done.returncode == 0


def test_a_file_that_is_not_there_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path / "none.yaml", Farm) == Farm()


def test_a_file_that_somebody_named_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "farm.yaml"
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(path, Farm, must_exist=True)
    path.write_text("timeout: 7")

    assert load_config(path, Farm, must_exist=True).timeout == 7


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "farm.yaml"
    path.write_text("timeout: 7")

    assert load_config(path, Farm).timeout == 7


def test_what_is_no_file_or_far_too_large_is_said(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_SIZE + 1))
    fits = tmp_path / "fits.yaml"
    fits.write_bytes(b"#" * MAX_SIZE)

    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, Farm)
    with pytest.raises(ConfigError, match=f"more than {MAX_SIZE} bytes"):
        load_config(large, Farm)
    with pytest.raises(ConfigError, match=f"more than {MAX_SIZE} bytes"):
        load_config(Path("/dev/zero"), Farm)
    assert load_config(fits, Farm) == Farm()


@given(st.binary(max_size=200) | st.text(alphabet="ab:{}[]-&*!|>'\"# \n0", max_size=80))
def test_any_file_is_a_config_or_a_config_error(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_config(raw, Farm, PATH), Farm)
