"""What a person sees while a farm converges: a table that is painted over, or a line per change.

progress = Progress(sys.stderr)
progress.say("controller serves")
progress.show(views)               # as often as you like
progress.finish()
"""

import os
from collections.abc import Mapping
from time import monotonic
from typing import TextIO

from lab.report import seconds_text
from lab.view import PHASES, NodeView
from runtime.cli import table


class Progress:
    def __init__(self, stream: TextIO, *, live: bool | None = None) -> None:
        """`live`: paint over; by default where `stream` is a terminal."""
        self._stream = stream
        terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._live = terminal if live is None else live
        self._begun = monotonic()
        self._painted = ""
        self._seen: dict[str, tuple[str, ...]] = {}

    def say(self, words: str) -> None:
        """One line that stays, with the seconds since we began."""
        self._wipe()
        self._stream.write(f"{monotonic() - self._begun:6.2f} s  {words}\n")
        self._stream.flush()

    def show(self, views: Mapping[str, NodeView]) -> None:
        if self._live:
            self._paint(table([row(view) for view in views.values()], HEADINGS))
            return
        for view in views.values():
            now = achieved(view)
            for words in now[len(self._seen.get(view.name, ())) :]:
                self.say(f"{view.name}  {words}")
            self._seen[view.name] = now

    def finish(self) -> None:
        self._wipe()

    def _paint(self, text: str) -> None:
        if text != self._painted:
            self._wipe()
            self._stream.write(text + "\n")
            self._stream.flush()
            self._painted = text

    def _wipe(self) -> None:
        """Take back what was painted: to its first line, and clear to the end of the screen."""
        if self._painted:
            self._stream.write(f"\x1b[{self._painted.count(chr(10)) + 1}A\x1b[J")
            self._painted = ""


HEADINGS = ["node", "uplink", *(f"{phase.replace('_', ' ')} s" for phase in PHASES)]


def row(view: NodeView) -> list[str]:
    uplink = view.boot.uplink
    what = f"{uplink.nic}: {uplink.reason}" if uplink else view.boot.step or "off"
    return [view.name, what, *(seconds_text(view.seconds.get(phase)) for phase in PHASES)]


def achieved(view: NodeView) -> tuple[str, ...]:
    """A line for each phase that is over, in order; a missing one ends it."""
    lines = []
    for phase in PHASES:
        seconds = view.seconds.get(phase)
        if seconds is None:
            break
        lines.append(f"{phase.replace('_', ' ')} after {seconds:.2f} s{_detail(view, phase)}")
    return tuple(lines)


def _detail(view: NodeView, phase: str) -> str:
    match phase:
        case "uplink" if view.boot.uplink:
            addresses = ", ".join(a for a in (view.nic.ipv4, *view.nic.ipv6) if a)
            return f": {view.boot.uplink.nic}, {view.boot.uplink.reason} ({addresses})"
        case "overlay":
            return f": {', '.join(view.overlay)}"
        case _:
            return ""
