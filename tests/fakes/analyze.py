"""What systemd-analyze says of unit files; it needs no systemd that runs."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


def verify(directory: Path, texts: Mapping[str, str]) -> str:
    """Its complaints."""
    paths = [directory / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return _analyze("verify", "--man=no", *map(str, paths)).stderr


def exposed_less_than(directory: Path, name: str, text: str, most: float) -> bool:
    """Whether its exposure, from 0 to 10, is at most so much."""
    path = directory / name
    path.write_text(text)
    threshold = f"--threshold={round(most * 10)}"
    done = _analyze("security", "--offline=true", "--no-pager", threshold, str(path))
    assert "Overall exposure level" in done.stdout, done.stderr
    return done.returncode == 0


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=30
    )
