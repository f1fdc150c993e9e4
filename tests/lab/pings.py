"""What a `ping` that went on meanwhile has lost, by what it printed of each answer."""

import re


def lost(said: str) -> set[int]:
    """The packets that were not answered, up to the last answer: at a ping's end some are under way."""
    numbers = answered(said)
    return set(range(1, max(numbers, default=1) + 1)) - numbers


def answered(said: str) -> set[int]:
    return {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", said)}


def sent(said: str) -> int:
    """How many, as it says at its end."""
    counts = re.search(r"(\d+) packets transmitted", said)
    assert counts is not None, said[-500:]
    return int(counts[1])
