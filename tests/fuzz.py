"""Bad input for parsers: what a seed becomes when bytes are flipped, cut, doubled and mixed.

    for data in mutations(seeds("dhcp"), seconds, random.Random(1)): parse(data)

tests/corpus/NAME.hex has a seed a line, and behind it what it is. An input that once broke a parser
belongs there.
"""

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
EDGES = (0, 1, 4, 6, 8, 0x7F, 0x80, 0xFE, 0xFF)
LONGEST = 4096


def seeds(name: str) -> list[bytes]:
    lines = (CORPUS / f"{name}.hex").read_text().splitlines()
    return [bytes.fromhex(line.partition("#")[0]) for line in lines]


def mutations(corpus: Sequence[bytes], seconds: float, chance: random.Random) -> Iterator[bytes]:
    """Each seed, each of its beginnings, and then changed ones until the time is over."""
    for seed in corpus:
        yield from (seed[:size] for size in range(len(seed) + 1))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(100):
            data = bytearray(chance.choice(corpus))
            for _ in range(chance.choice((1, 1, 2, 4, 16))):
                _change(data, corpus, chance)
            yield bytes(data[:LONGEST])


def _change(data: bytearray, corpus: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    size = chance.choice((1, 2, 4, 16, 64))
    match chance.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(data):
            data[at] = chance.choice(EDGES)
        case 2 if at < len(data):
            data[at] = (data[at] + chance.choice((-1, 1))) & 0xFF
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = chance.randbytes(size)
        case 5:
            data[at:at] = data[at : at + size]
        case _:
            other = chance.choice(corpus)
            data[at:] = other[chance.randrange(len(other) + 1) :]
