"""Each secret of a whole farm is where it belongs, and nowhere else: no log, no capture of the wire,
no argument, no environment, no database, no other file, no memory of the other side.
"""

import base64
import io
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import lab.farm
from lab import programs
from lab.demo import prepare
from lab.farm import build_farm
from lab.node import Node
from lab.progress import Progress
from lab.world import World
from protocol.joinstring import parse_join_string
from protocol.keys import to_z85
from tests.lab.living import Living, converge, pid_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

STATE = Path("/var/lib/zosnet")
KEYS = STATE / "controller" / "keys"
DISK = (
    STATE,
    Path("/etc/zosnet"),
    Path("/etc/zinit"),
    Path("/var/log/zosnet"),
    Path("/run/zosnet"),
)
KEPT = {  # where a secret may be, by the file's path
    "node": re.compile(r"/var/lib/zosnet/node\.key"),
    "wireguard": re.compile(r"/var/lib/zosnet/networks/\w+/wireguard\.json"),
    "controller": re.compile(r"/var/lib/zosnet/controller/keys/\w+"),
    "token": re.compile(r"/etc/zosnet/join"),  # the file that a person brought, used up by now
}


class Canary:
    """One secret in every form that it could be written in."""

    def __init__(self, kind: str, owner: str, secret: bytes, *words: bytes) -> None:
        self.kind, self.owner = kind, owner
        self._forms = [
            secret,
            secret.hex().encode(),
            secret.hex().upper().encode(),
            base64.b64encode(secret),
            to_z85(secret),
            base64.b32encode(secret).rstrip(b"=").lower(),
            *words,
        ]

    def __repr__(self) -> str:
        return f"{self.kind} of {self.owner}"

    def is_in(self, data: bytes) -> bool:
        return any(form in data for form in self._forms)


class Aviary:
    """A farm in its whole life until all is well, and the secrets that it was seen to have."""

    def __init__(self, world: World) -> None:
        farm = build_farm(world)
        self.world = world
        living = Living(farm, prepare(farm, Progress(io.StringIO())))
        self.canaries = [
            Canary("token", name, bytes(parse_join_string(text).token), text.strip().encode())
            for name, node in farm.nodes.items()
            for text in (file.read_text() for file in node.path(f"{STATE}/join").iterdir())
        ]
        self.living = converge(living)
        self.canaries += [
            Canary("controller", file.name, bytes.fromhex(file.read_text()))
            for file in self.controller.path(f"{KEYS}").iterdir()
            if not file.name.endswith(".pub")
        ]
        for name, node in farm.nodes.items():
            self.canaries.append(Canary("node", name, node.path(f"{STATE}/node.key").read_bytes()))
            for file in node.path(f"{STATE}/networks").glob("*/wireguard.json"):
                secret = base64.b64decode(msgspec.json.decode(file.read_bytes())["secret"])
                self.canaries.append(Canary("wireguard", name, secret))

    @property
    def controller(self) -> Node:
        return self.living.farm.controller

    @property
    def machines(self) -> dict[str, Node]:
        return self.living.farm.machines

    def found_in(self, data: bytes) -> set[str]:
        return {repr(canary) for canary in self.canaries if canary.is_in(data)}


@pytest.fixture(scope="module")
def aviary(shared_world: World) -> Iterator[Aviary]:
    """All programs say all that they can say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "CONFIG", f"{programs.CONFIG}log: {{level: debug}}\n")
        patch.setattr(lab.farm, "AGENT_CONFIG", f"{lab.farm.AGENT_CONFIG}log: {{level: debug}}\n")
        made = Aviary(shared_world)
        yield made
        made.living.kill_controller()


def test_the_farm_has_every_kind_of_secret(aviary: Aviary) -> None:
    kinds = [canary.kind for canary in aviary.canaries]

    assert {kind: kinds.count(kind) for kind in KEPT} == {
        "token": 3,
        "controller": 3,
        "node": 3,
        "wireguard": 3,
    }


def test_s11_no_log_and_no_capture_has_a_secret(aviary: Aviary, tmp_path: Path) -> None:
    """S11."""
    aviary.world.save_logs(tmp_path)
    texts = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    assert {str(f): found for f, data in texts.items() if (found := aviary.found_in(data))} == {}
    assert any(b" DEBUG agent." in data for data in texts.values())
    assert any(b"keyset taken" in data for data in texts.values())
    assert sum(len(data) for f, data in texts.items() if f.suffix == ".pcap") > 10_000


def test_no_argument_and_no_environment_has_a_secret(aviary: Aviary) -> None:
    seen = {}
    for name, node in aviary.machines.items():
        # some end before they are read
        everything = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || :"
        seen[name] = node.output("sh", "-c", everything)

    assert {n: f for n, text in seen.items() if (f := aviary.found_in(text.encode()))} == {}
    assert "zosnet-agent" in seen["n1"]


def test_j4_no_file_has_a_secret_but_the_key_files_and_they_are_private(aviary: Aviary) -> None:
    """J4: nothing that a copy of a database or of a state directory's other files gives away."""
    wrong, right, public = [], set(), []
    for node in aviary.machines.values():
        for file in _files(node):
            inside = "/" + str(file).partition("/root/")[2]
            try:
                data, mode = file.read_bytes(), stat.S_IMODE(file.stat().st_mode)
            except FileNotFoundError:  # written anew just now: under its name it is there
                continue
            for canary in aviary.canaries:
                if canary.is_in(data):
                    at_home = KEPT[canary.kind].fullmatch(inside)
                    (right.add(repr(canary)) if at_home else wrong.append((canary, inside)))
                    if mode & 0o077:
                        public.append(inside)

    assert wrong == []
    assert public == []
    # each was found where it lives, so the search finds things
    assert {repr(canary) for canary in aviary.canaries} == right


def test_j6_the_controllers_memory_has_no_secret_of_a_node_or_token(aviary: Aviary) -> None:
    """J6: the private key never leaves the node."""
    found, controller = set(), aviary.controller
    pid = pid_of(controller, "zosnet-controller serve")
    controller.run("kill", "-STOP", str(pid))  # its memory stays where it is meanwhile
    for chunk in _memory(controller, pid):
        found |= aviary.found_in(chunk)
    controller.run("kill", "-CONT", str(pid))

    assert {name for name in found if not name.startswith("controller of ")} == set()
    assert "controller of curve" in found


def _files(node: Node) -> Iterator[Path]:
    for directory in DISK:
        for file in node.path(str(directory)).rglob("*"):
            if file.is_file() and not file.is_symlink():
                yield file


def _memory(node: Node, pid: int) -> Iterator[bytes]:
    """All that a process may write to."""
    maps = node.path(f"/proc/{pid}/maps").read_text().splitlines()
    with node.path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(end, 16) for end in span.split("-"))
                memory.seek(first)
                yield memory.read(last - first)
