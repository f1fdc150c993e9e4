"""Durations as people write them: `90s`, `10m`, `12h`, `30d`; a bare number is seconds."""

import argparse
import re

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,9})([smhdw]?)\Z")


def seconds(text: str) -> int:
    """For argparse's `type`."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: such as 90s, 10m, 12h, 30d")
    return int(match[1]) * _UNITS[match[2]]
