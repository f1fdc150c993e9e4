"""The Vagrantfile: what Vagrant itself says of it, and which machines it makes. None is started."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.host import TREE

pytestmark = [
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="no vagrant: script/bootstrap dev"),
    pytest.mark.timeout(600),
]


def vagrant(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """With nothing of this user's, and without asking whether there is a newer Vagrant."""
    own = {"VAGRANT_HOME": str(home), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    environment = {name: os.environ[name] for name in ("HOME", "PATH")} | own | settings
    command = ["vagrant", *words]
    return subprocess.run(
        command, cwd=TREE, env=environment, capture_output=True, text=True, check=False
    )


def test_vagrant_finds_no_fault_in_it(tmp_path: Path) -> None:
    said = vagrant(tmp_path, "validate", FARM_DRIVER="qemu", FARM_NODES="20")

    assert (said.returncode, said.stdout, said.stderr) == (
        0,
        "Vagrantfile validated successfully.\n",
        "",
    )


def test_it_makes_a_router_a_controller_and_as_many_nodes_as_are_asked_for(tmp_path: Path) -> None:
    said = vagrant(tmp_path, "status", "--machine-readable", FARM_NODES="3", FARM_DRIVER="qemu")
    rows = [line.split(",") for line in said.stdout.splitlines()]
    providers = {row[1]: row[4] for row in rows if row[2:4] == ["metadata", "provider"]}

    names = ["router", "controller", "node1", "node2", "node3"]
    assert (list(providers), set(providers.values())) == (names, {"libvirt"}), said.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("FARM_NODES", "0"), ("FARM_DRIVER", "xen"), ("ZINIT_BIN", "/etc")],
)
def test_what_it_cannot_use_is_named(tmp_path: Path, name: str, value: str) -> None:
    said = vagrant(tmp_path, "validate", **{name: value})

    assert said.returncode != 0
    assert said.stderr.startswith(f"error: cannot read the Vagrantfile: {name}={value} is "), said
