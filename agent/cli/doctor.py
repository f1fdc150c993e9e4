"""`zosnet-agent doctor`: look whether this machine can be a node, and say what to do; change nothing."""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.cli import add_output, print_items, printable
from runtime.failure import Exit

if TYPE_CHECKING:
    from agent.doctor.finding import Finding

EXAMPLES = ("zosnet-agent doctor", "zosnet-agent doctor -o json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 unless something fails: warnings, and what could not be looked at, are no failures."""
    from msgspec.structs import asdict

    from agent.doctor.examination import examine

    findings = examine()
    if arguments.output == "json":
        print_items("findings", [asdict(f) for f in findings], {}, output=arguments.output)
    else:
        _print(findings)
    return Exit.PROBLEMS if any(f.verdict == "fail" for f in findings) else Exit.OK


def _print(findings: "Sequence[Finding]") -> None:
    width = max(len(finding.about) for finding in findings) + 2
    for finding in findings:
        print(f"{finding.verdict:<6}{finding.about:<{width}}{printable(finding.said)}")
        if finding.todo:
            print(f"{'':<{width + 6}}do: {printable(finding.todo)}")
    counts = Counter(str(finding.verdict) for finding in findings)
    print(
        f"\n{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} to mend,"
        f" {counts['?']} not looked at"
    )
