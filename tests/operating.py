"""docs/operating.md shows what the programs print: its `console` blocks are run, and compared or renewed.

    python -m tests.operating        # write what the commands print now into the document

The commands run in one directory, one after the other, on a controller of their own. Between them, in
comments of the document, nodes do what nodes do: `<!-- n1 n2 join with FILE -->`.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocol.joinstring import parse_join_string
from protocol.messages import Joined, Ping
from tests.controller.farm import TREE, Controller, running
from tests.controller.node import Node

DOCUMENT = TREE / "docs/operating.md"
ENDPOINT, FROM, HOME = "tcp://203.0.113.10:9930", "198.51.100.7", "/root"

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_JOIN = re.compile(r"^<!-- ([\w ]+?) joins? with (\w+) -->$", re.MULTILINE)

_HEX = re.compile(r"(?<![\w.])[0-9a-f]{10,}\b")

# What differs from run to run; columns move with it.
_VOLATILE = (
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"(?<![\w.])[0-9a-f]{10,}\b", "HEX"),
    (r"\b10\.9[01]\.(?!0\.0)\d+\.\d+", "IP4"),
    (r"\bfd90:5a4f:5e00:[0-9a-f:]*[0-9a-f]/64", "IP6"),
    (r"\bfd(?!90:5a4f:5e00:)[0-9a-f:]+::/64", "ULA/64"),
    (r"\b(connected|disconnected|pending|expected|up|last) \d+[smhd]\b", r"\1 AGE"),
    (r"(?m)^age +\d+", "age N"),
    (r" \(counted \d+s ago\)", ""),
    (r"\bpid \d+", "pid N"),
    (r"\d+(\.\d+)?(?= (?:%|MiB|waiting))", "N"),
    (r"[ \t]+", " "),
    (r"[-=]{4,}", "----"),
)


@dataclass
class Stage:
    """A controller, and the nodes that the document speaks of."""

    controller: Controller
    directory: Path
    nodes: dict[str, Node] = field(default_factory=dict)

    def join(self, names: str, file: str) -> None:
        network = str(self.controller.ask("network.show", network="home")[0]["id"])
        for name in names.split():
            join = parse_join_string((self.directory / file).read_text())
            node = self.nodes[name] = Node(join, name)
            node.admit()
            node.hello()
            if isinstance(node.join(network), Joined):
                node.fetch(network)

    def run(self, command: str) -> str:
        """What a person would see, with the places of the document."""
        for node in self.nodes.values():
            node.connect().send(Ping(0))  # else they are dead after 20 s
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.directory,
            env={"PATH": f"{self.directory}/bin:/usr/bin:/bin", "HOME": str(self.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )
        text = done.stdout.replace(self.controller.endpoint, ENDPOINT)
        return text.replace("127.0.0.1", FROM).replace(str(self.directory), HOME)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def set_up(controller: Controller, directory: Path) -> Stage:
    """Programs that reach this controller by themselves."""
    (directory / "bin").mkdir(parents=True)
    python = f"cd() {{ :; }}; PYTHONPATH={TREE} exec {sys.executable} -m"
    commands = {
        "ncadm": f'case "$*" in config*|keygen*|completion*|"audit verify "*) where= ;;'
        f" *) where='--socket {controller.socket}' ;; esac\n"
        f'{python} controller.admin "$@" $where',
        "zosnet-controller": f'verb=$1; shift\n{python} controller "$verb"'
        f' --config {controller.config} "$@"',
    }
    for name, script in commands.items():
        program = directory / "bin" / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
    return Stage(controller, directory)


def parts(text: str) -> Iterator[re.Match[str]]:
    """Blocks and comments, in order."""
    found = [*_BLOCK.finditer(text), *_JOIN.finditer(text)]
    return iter(sorted(found, key=lambda match: match.start()))


def play(stage: Stage, text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Every block, and what it would be today. What was printed once may stand in later commands:
    it is what was printed in its place today.
    """
    today: dict[str, str] = {}
    for match in parts(text):
        if match.re is _JOIN:
            stage.join(match[1], match[2])
            continue
        shown = ""
        for command, before in commands(match[1]):
            command_now = _HEX.sub(lambda found: today.get(found[0], found[0]), command)
            printed = stage.run(command_now)
            shown += f"$ {command_now}\n{printed}"
            today.update(zip(_HEX.findall(before), _HEX.findall(printed), strict=False))
        yield match, shown


def commands(block: str) -> list[tuple[str, str]]:
    """Each with what it printed."""
    found = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(found[1::2], found[2::2], strict=True))


def stable(text: str) -> str:
    """Without what differs from run to run."""
    for pattern, word in _VOLATILE:
        text = re.sub(pattern, word, text)
    return text


def renew(directory: Path) -> str:
    """The document as it should be."""
    text, made, end = DOCUMENT.read_text(), "", 0
    with running(directory / "controller") as controller:
        stage = set_up(controller, directory / "stage")
        for match, block in play(stage, text):
            made += f"{text[end : match.start(1)]}{block}"
            end = match.end(1)
        stage.close()
    return made + text[end:]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "controller").mkdir()
        DOCUMENT.write_text(renew(directory))


if __name__ == "__main__":
    main()
