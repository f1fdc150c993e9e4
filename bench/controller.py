"""`script/bench controller [FIGURE ...] [--json FILE] [--quick]`: what the controller costs and how soon it answers.

A controller is started as operators start it: a process of its own, CURVE, SQLite with
synchronous=FULL, replies after the commit. This process is the nodes, with real keys. CPU is the
controller's own, all its threads, read from the kernel's clock of that process.

Figures that are called so many signatures are divided by the CPU time of one raw Ed25519 signature
(libsodium by pynacl, on a certificate's size), measured between the same moments. `--quick` takes
small shapes: its figures show that the bench works, not how fast the controller is.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.crowd import enrolling, large, refreshing, telling
from bench.figure import Figure, parse_figures, report


def main() -> int:
    parser = argparse.ArgumentParser(
        description="what the controller costs, by what it cannot do without"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    arguments = parse_figures(parser, FIGURES)
    figures: list[Figure] = []
    try:
        for name in arguments.figures or FIGURES:
            print(f"{name} …", file=sys.stderr, flush=True)
            figures += FIGURES[name](Scale(arguments.quick, arguments.rounds))
    except BaseException:
        report(figures, arguments.json)  # what was measured before it failed
        raise
    return report(figures, arguments.json)


@dataclass(frozen=True, slots=True)
class Scale:
    quick: bool
    rounds: int

    def size(self, count: int) -> int:
        """So many, or few enough to be quick."""
        return min(count, 300) if self.quick else count

    def median(self, measure: Callable[[], float]) -> float:
        return statistics.median(measure() for _ in range(1 if self.quick else self.rounds))


def enrol(scale: Scale) -> Iterable[Figure]:
    """admit + join ÷ one signature: 100 networks x 20, 1 x 1 000, 1 x 10 000, and how flat that is"""
    shapes = [(10, 20), (1, 200)] if scale.quick else [(100, 20), (1, 1000), (1, 10_000)]
    found: dict[str, list[enrolling.Phases]] = {}
    for _ in range(1 if scale.quick else scale.rounds):
        for networks, each in shapes:
            name = f"{networks} x {each}"
            found.setdefault(name, []).append(enrolling.enrol_shape(networks, each))
    medians = {}
    for name, rounds in found.items():
        medians[name] = statistics.median(one.admit_and_join for one in rounds)
        yield Figure(f"admit + join, {name}", medians[name], "signatures", 5.0)
    for name, rounds in found.items():
        middle = sorted(rounds, key=lambda one: one.admit_and_join)[len(rounds) // 2]
        yield from details(name, middle)
    ratios = list(medians.values())
    yield Figure(
        "admit + join, flatness: the last shape ÷ the first", ratios[-1] / ratios[0], "", 1.25
    )
    rows = enrolling.floor_of_rows(scale.size(1000))
    exchange = refreshing.bare_exchange()
    yield Figure("  its rows by SQLite alone", rows, "signatures")
    yield Figure("  a bare ROUTER's exchange", exchange, "signatures")
    yield Figure("  rows + two exchanges + one signature", rows + 2 * exchange + 1, "signatures")


def details(name: str, phases: enrolling.Phases) -> Iterable[Figure]:
    per = 1 / phases.members
    yield Figure(f"  {name}: admit", phases.admits * per, "µs")
    yield Figure(f"  {name}: join", phases.joins * per, "µs")
    yield Figure(f"  {name}: handshake, not counted", phases.handshakes * per, "µs")
    yield Figure(f"  {name}: one signature", phases.signature.us, "µs")


def node(scale: Scale) -> Iterable[Figure]:
    """a new node: two handshakes + admit + join ÷ two bare CURVE handshakes"""
    count = scale.size(768)
    values, bares, wholes = [], [], []
    for _ in range(1 if scale.quick else scale.rounds):
        bares.append(enrolling.bare_handshake(2 * count))
        wholes.append(enrolling.enrol_singly(count).whole)
        values.append(wholes[-1] / 2 / bares[-1])
    yield Figure("new node ÷ two bare handshakes", statistics.median(values), "", 1.3)
    yield Figure("  new node: two handshakes + admit + join", statistics.median(wholes), "µs")
    yield Figure("  one bare handshake", statistics.median(bares), "µs")


def refresh(scale: Scale) -> Iterable[Figure]:
    """refreshes ÷ one signature, not modified and with a new certificate, in networks of 1 000 and 10 000"""
    for count in dict.fromkeys((scale.size(1000), scale.size(10_000))):
        found = [refreshing.refreshes(count) for _ in range(1 if scale.quick else scale.rounds)]
        unchanged = statistics.median(one for one, _ in found)
        renewed = statistics.median(one for _, one in found)
        yield Figure(f"refresh, not modified, of {count}", unchanged, "signatures", 1.0)
        yield Figure(f"refresh, new certificate, of {count}", renewed, "signatures", 2.2)
    bare = scale.median(refreshing.bare_exchange)
    yield Figure("  a bare ROUTER's exchange of as many bytes", bare, "signatures")


def push(scale: Scale) -> Iterable[Figure]:
    """a change → the last of 2 000 connected members of one mesh"""
    count = scale.size(2000)
    value = scale.median(lambda: telling.last_hears(count))
    yield Figure(f"a change → the last of {count}", value, "ms", 150.0)


def rss(scale: Scale) -> Iterable[Figure]:
    """memory over 100 refresh rounds of 10 000 connected members"""
    count, rounds = scale.size(10_000), 10 if scale.quick else 100
    value = telling.rss_growth(count, rounds)
    yield Figure(f"RSS growth over {rounds} refresh rounds of {count}", value, "%", 2.0)


def page(scale: Scale) -> Iterable[Figure]:
    """the first page of a list of 10 000 members"""
    count = scale.size(10_000)
    yield Figure(f"first page of {count} members", telling.first_page(count), "ms", 50.0)


def million(scale: Scale) -> Iterable[Figure]:
    """1 000 000 members: restart → first reply, memory, and admit + join ÷ that on an empty database"""
    count, joining = 20_000 if scale.quick else 1_000_000, scale.size(3000)
    empty = large.of_members(0, joining)
    full = large.of_members(count, joining)
    yield Figure(f"restart → first reply, {count} members", full.restart_s, "s", 3.0)
    yield Figure(f"RSS, {count} members", full.rss_mib, "MiB", 250.0)
    ratio = full.one_more / empty.one_more
    yield Figure(f"admit + join at {count} ÷ on an empty database", ratio, "", 1.5)
    yield Figure("  restart → first reply, empty", empty.restart_s, "s")
    yield Figure("  RSS, empty", empty.rss_mib, "MiB")


FIGURES: dict[str, Callable[[Scale], Iterable[Figure]]] = {
    measure.__name__: measure for measure in (enrol, node, refresh, push, rss, page, million)
}


if __name__ == "__main__":
    sys.exit(main())
