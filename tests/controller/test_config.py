"""controller.yaml: each key is checked, and O6: what is no key is refused with the nearest one."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller.config import Config, load
from runtime.config import ConfigError
from runtime.failure import Exit
from tests.controller.farm import TREE, Controller, running
from tests.controller.test_cli import said

WHOLE = """
data: /srv/zosnet
listen: ["tcp://203.0.113.10:9930", "tcp://[2001:db8::10]:9930"]
endpoints: ["tcp://hub.example:9930"]
socket: /run/ctl.sock
admin_listen: ["tcp://192.0.2.10:9931"]
networks: [{name: home, ipv4: 10.9.0.0/16}]
log: {level: warning, directory: /var/log/zosnet}
audit: {keep_days: 30}
pending: {per_network: 10, in_all: 20, days: 1}
memory_mib: 512
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "controller.yaml"
    path.write_text(text)
    return path


def test_every_key_can_be_set(tmp_path: Path) -> None:
    config = load(write(tmp_path, WHOLE))

    for name in Config.__struct_fields__:
        assert getattr(config, name) != getattr(Config(), name), name
    assert config.database == Path("/srv/zosnet/zosnet.db")
    assert config.log.path == Path("/var/log/zosnet")


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("dta: /x", "unknown key 'dta'", "did you mean 'data'?"),
        ("lisen: []", "unknown key 'lisen'", "did you mean 'listen'?"),
        ("log: {levl: info}", "log: unknown key 'levl'", "did you mean 'level'?"),
        ("networks: [{nam: x}]", "networks[0]: unknown key 'nam'", "did you mean 'name'?"),
        ("memory: 512", "unknown key 'memory'", "did you mean 'memory_mib'?"),
        (
            "colour: red",
            "unknown key 'colour'",
            "known keys: admin_listen, audit, data, endpoints, listen, log",
        ),
        ("data: ''", "data: '' does not begin with /", "such as /var/lib/zosnet/controller"),
        ("data: here", "data: 'here' does not begin with /", "such as /"),
        ("data: 7", "data: YAML reads this as the number 7", "quote it"),
        ("socket: run/x", "socket: 'run/x' does not begin with /", "such as /run/zosnet"),
        (f"socket: /{'x' * 107}", "socket: at most 107 bytes", "such as /run/zosnet"),
        ("listen: []", "listen: at least 1 entries needed", None),
        (f"listen: {['tcp://*:1'] * 9}", "listen: at most 8 entries needed", None),
        ("listen: ['udp://*:1']", "listen: 'udp://*:1' is no endpoint", "such as tcp://*:9930"),
        ("listen: ['tcp://*:65536']", "'tcp://*:65536' is no endpoint", "such as"),
        ("admin_listen: ['tcp://*']", "admin_listen: 'tcp://*' is no endpoint", "tcp://*:9931"),
        ("endpoints: ['tcp://*:1']", "no endpoint that nodes can connect to", "such as"),
        (f"endpoints: {['tcp://a:1'] * 5}", "endpoints: at most 4 entries", None),
        ("log: {level: loud}", "log.level: 'loud' is not one of debug", None),
        ("log: {directory: logs}", "log: directory: 'logs' does not begin with /", None),
        ("log: debug", "log: 'debug' is not keys with values", "write its keys below it"),
        ("audit: {keep_days: -1}", "audit.keep_days: at least 0 needed, not -1", None),
        ("audit: {keep: 30}", "audit: unknown key 'keep'", "did you mean 'keep_days'?"),
        ("audit: {keep_days: 36501}", "audit.keep_days: at most 36500 needed, not 36501", None),
        ("pending: {per_network: -1}", "pending.per_network: at least 0 needed, not -1", None),
        ("pending: {in_all: 1000001}", "pending.in_all: at most 1000000 needed", None),
        ("pending: {days: 0}", "pending.days: at least 1 needed, not 0", None),
        ("pending: {days: 367}", "pending.days: at most 366 needed, not 367", None),
        ("pending: {dys: 7}", "pending: unknown key 'dys'", "did you mean 'days'?"),
        ("memory_mib: 255", "memory_mib: at least 256 needed, not 255", None),
        ("memory_mib: 1GB", "memory_mib: '1GB' is not a whole number", None),
        ("networks: [{}]", "the key 'name' is missing", None),
        ("data: /a\ndata: /b", "the key 'data' stands twice", None),
    ],
)
def test_what_cannot_be_is_named_with_its_key_and_a_way_out(
    tmp_path: Path, text: str, reason: str, hint: str | None
) -> None:
    """O6"""
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, text))

    assert refused.value.message.startswith(f"cannot use {tmp_path}/controller.yaml: ")
    assert reason in refused.value.message
    assert (hint or "") in (refused.value.hint or "")
    assert refused.value.code == Exit.USAGE


def ncadm(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "controller.admin", "config", "check", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=TREE, check=False, timeout=20)


def test_config_check_shows_what_the_file_comes_to(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    table = ncadm(str(path))
    items = json.loads(ncadm(str(path), "-o", "json").stdout)["items"]
    found = {item["key"]: item for item in items}

    assert said(table, 0) == f"{path} can be used\n"
    assert table.stdout.splitlines()[0].split() == ["KEY", "VALUE", "DEFAULT", "UNIT"]
    assert found["memory_mib"] == {
        "key": "memory_mib",
        "value": "512",
        "default": "4096",
        "unit": "MiB",
    }
    assert found["networks"]["value"] == "[{name: home, ipv4: 10.9.0.0/16}]"
    assert found["log.level"]["value"] == "warning"
    assert len(items) == 13


def test_config_check_refuses_a_key_that_is_none(tmp_path: Path) -> None:
    """O6"""
    path = write(tmp_path, "lisen: ['tcp://*:9930']")
    refused = ncadm(str(path))

    assert said(refused, Exit.USAGE) == (
        f"error: cannot use {path}: unknown key 'lisen'\nhint: did you mean 'listen'?\n"
    )
    assert refused.stdout == ""
    assert said(ncadm(str(write(tmp_path, "listen: ['tcp://*:9930']"))), 0)


def test_the_controller_checks_its_settings_before_there_is_one(tmp_path: Path) -> None:
    one = Controller(tmp_path, extra="memory_mib: 512\n")
    shown = one.command("check", "--settings")
    one.config.write_text("memory: 512\n")
    refused = one.command("check", "--settings")

    assert said(shown, 0) == ""
    assert re.search(r"^memory_mib +512 ", shown.stdout, re.MULTILINE)
    assert "did you mean 'memory_mib'?" in said(refused, Exit.USAGE)


def test_a_controller_logs_to_a_file_a_day_with_a_link_to_todays(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with running(tmp_path, extra=f"log: {{directory: {logs}}}\n") as one:
        one.stop()
        one.start()
        one.ask("status")  # it answers, so it has said that it started
    link = logs / "zosnet-controller.log"

    assert re.fullmatch(r"zosnet-controller-\d{4}-\d\d-\d\d\.log", str(link.readlink()))
    assert link.read_text().count("controller started") == 2
    assert one.log.read_text().count("controller started") == 2
