"""Ask `ask` from inside a node: which targets answer, from where.

    answers = knock(node, ["icmp/10.9.0.2", "udp/192.168.7.50/7"], namespace="n-0000017c3a01")
    answers["icmp/10.9.0.2"].answered

`knock_all` does it from several places at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from lab import ask
from lab.host import PYTHON, CommandError, last_words
from lab.node import Node


class Answer(Struct, frozen=True):
    verdict: str  # answer, refused, silent
    detail: str = ""

    @property
    def answered(self) -> bool:
        return self.verdict == "answer"

    def __str__(self) -> str:
        return f"{self.verdict} {self.detail}".strip()


class Question(Struct, frozen=True):
    """Targets to be asked from `node`, in one of its named namespaces if any."""

    node: Node
    targets: Sequence[str]
    namespace: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        words = (PYTHON, "-I", "-S", ask.__file__)
        return self.node.inside(self.namespace, *words) if self.namespace else words


def knock(
    node: Node, targets: Sequence[str], *, namespace: str = "", seconds: float = 1
) -> Mapping[str, Answer]:
    return knock_all([Question(node, targets, namespace)], seconds=seconds)[0]


def knock_all(
    questions: Sequence[Question], *, seconds: float = 1
) -> Sequence[Mapping[str, Answer]]:
    """Ask all at once; raises CommandError where the asking itself was impossible."""
    running = []
    for number, question in enumerate(questions):
        log = question.node.log(f"ask-{number}")
        log.unlink(missing_ok=True)
        process = question.node.spawn(*question.argv, str(seconds), *question.targets, log=log)
        running.append((question, process, log))
    answers = []
    for question, process, log in running:
        if process.wait(seconds + 90):
            raise CommandError(
                f"cannot ask from {question.node.name} {question.namespace}: {last_words(log.read_text())}"
            )
        answers.append(_read(log))
    return answers


def _read(log: Path) -> dict[str, Answer]:
    said = (line.split(" ", 2) for line in log.read_text().splitlines())
    return {target: Answer(verdict, *rest) for target, verdict, *rest in said}
