"""The kernel's command line as a config."""

from pathlib import Path

import pytest

from agent.cmdline import merged, parse_cmdline
from agent.config import AgentConfig, load
from agent.static.config import StaticNic
from runtime.config import ConfigError

BOOTED = "BOOT_IMAGE=/vmlinuz root=/dev/ram0 console=ttyS0,115200 quiet -- single"


def config_of(directory: Path, words: str, *, file: str = "") -> AgentConfig:
    kernel, path = directory / "cmdline", directory / "agent.yaml"
    kernel.write_text(f"{BOOTED} {words}\n")
    path.write_text(file)
    return load(path, kernel=kernel)


def test_what_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    zos = "farmer_id=71 runmode=prod version=v3 zosnetwork.x=1 zosnet"

    assert parse_cmdline(f"{BOOTED} {zos}") == {}
    assert config_of(tmp_path, zos) == AgentConfig()


def test_a_node_without_any_file_is_told_all_it_needs(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "zosnet.farm=d3f8eaaefd zosnet.join=/boot/join zosnet.clock=step"
        " zosnet.controllers=[tcp://203.0.113.10:9930,'tcp://[2001:db8::10]:9930']"
        " zosnet.static.eth0.addresses=[198.51.100.130/28,2001:db8:b5:1::150/64]"
        " zosnet.static.eth0.gateways=[198.51.100.129,2001:db8:b5:1::1]",
    )

    assert (config.farm, config.join, config.clock) == ("d3f8eaaefd", "/boot/join", "step")
    assert config.controllers == ("tcp://203.0.113.10:9930", "tcp://[2001:db8::10]:9930")
    assert config.static["eth0"] == StaticNic(
        addresses=("198.51.100.130/28", "2001:db8:b5:1::150/64"),
        gateways=("198.51.100.129", "2001:db8:b5:1::1"),
    )


@pytest.mark.parametrize(
    ("words", "document"),
    [
        ("zosnet.clock=step zosnet.clock=report", {"clock": "report"}),
        ('zosnet.nics.include="[eth0, eth1]"', {"nics": {"include": ["eth0", "eth1"]}}),
        ('"zosnet.nics.pin=eth0"', {"nics": {"pin": "eth0"}}),
        ("zosnet.ndmz.ipv6='off'", {"ndmz": {"ipv6": "off"}}),
        ("zosnet.probe.grace=1", {"probe": {"grace": 1}}),
        ("vlan:priv=12", {"uplink": {"vlan": 12}}),
        ("vlan:priv=none vlan:priv=un vlan:priv=untagged vlan:pub=3", {}),
    ],
)
def test_words_become_keys(words: str, document: object) -> None:
    assert parse_cmdline(words) == document


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("zosnet.clok=step", "unknown key 'clok'", "did you mean 'clock'?"),
        ("zosnet.clock=stop", "clock: 'stop' is not one of report, step", None),
        ("zosnet.clock", "zosnet.clock has no value", "write zosnet.clock=VALUE"),
        ("zosnet.clock=", "clock: it has no value", None),
        ("zosnet.nics.kinds=[", "line 2: ", None),
        ("zosnet.probe=1 zosnet.probe.grace=2", "zosnet.probe.grace: probe has a value", None),
        ("zosnet.farm=71", "farm: YAML reads this as the number 71", None),
        ("zosnet.farm='71'", "farm: '71' is not ten hex digits", None),
        ("zosnet.join=join", "join: 'join' does not begin with /", None),
        ("zosnet.static.eth0.addresses=[10.0.0.2/24]", "the key 'gateways' is missing", None),
    ],
)
def test_what_is_wrong_is_said_of_the_command_line(
    tmp_path: Path, words: str, said: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(tmp_path, words)

    assert "cmdline: " in error.value.message
    assert said in error.value.message
    assert hint in (None, error.value.hint)


def test_a_key_of_the_file_counts_and_the_others_stay(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "zosnet.nics.pin=eth0 zosnet.nics.exclude=[eth9] zosnet.clock=step",
        file="nics: {pin: eth1}\nclock: report\n",
    )

    assert (config.nics.pin, config.nics.exclude, config.clock) == ("eth1", ("eth9",), "report")


def test_merging_changes_neither() -> None:
    under, over = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2], "e": 4}

    assert merged(under, over) == {"a": {"b": 3, "c": 2}, "d": [2], "e": 4}
    assert (under, over["a"]) == ({"a": {"b": 1, "c": 2}, "d": [1]}, {"b": 3})
