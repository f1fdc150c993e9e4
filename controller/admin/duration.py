"""Durations as people write and read them."""

from runtime.duration import seconds

__all__ = ["seconds", "since"]


def since(seconds: object) -> str:
    """An age in its largest unit: 45s, 12m, 5h, 3d."""
    age = max(0, int(str(seconds)))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= size:
            return f"{age // size}{unit}"
    return f"{age}s"
