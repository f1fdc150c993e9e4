"""Our services under systemd: write their unit files and have it run them; take them away again.

    running = ensure_services({"zosnet-networkd.service": text}, start=True)
    removed = remove_services(("zosnet-networkd.service",))

Twice is once: a file that is as it should be is not written again, and a service that runs with it
goes on. Where systemd is not the one that runs (an image that is being built), only files are made.
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from runtime import files
from runtime.cli import require_tool
from runtime.failure import CannotError, Exit

UNITS = Path("/etc/systemd/system")
TRANSIENT = Path("/run/systemd/transient")
RUNS = Path("/run/systemd/system")  # sd_booted(3)


def ensure_services(texts: Mapping[str, str], *, start: bool, directory: Path = UNITS) -> bool:
    """Write and enable units, `texts` by file name; `start` those that run with another text, or
    do not run. True when they run now, or are about to: it does not wait. Raises CannotError.
    """
    changed = [name for name, text in texts.items() if _read(directory / name) != text]
    for name in changed:
        files.write_atomic(directory / name, texts[name].encode(), mode=0o644)
    systemctl("enable", "--quiet", *texts)
    if not RUNS.is_dir():
        return False
    systemctl("daemon-reload")
    if not start:
        return False
    for verb, names in (("restart", changed), ("start", texts.keys() - set(changed))):
        if names:
            systemctl(verb, "--no-block", *names)
    return True


def remove_services(names: Iterable[str], *, directory: Path = UNITS) -> list[str]:
    """Stop, disable and delete them; those that were there."""
    ours = [name for name in names if (directory / name).exists()]
    passing = [name for name in names if (TRANSIENT / name).exists()]
    if RUNS.is_dir() and (ours or passing):
        systemctl("stop", *ours, *passing)
    if ours:
        systemctl("disable", "--quiet", *ours)
        for name in ours:
            (directory / name).unlink(missing_ok=True)
        if RUNS.is_dir():
            systemctl("daemon-reload")
    return ours + passing


def systemctl(*words: str) -> None:
    """Raises CannotError with what it says."""
    what = f"{words[0]} services"
    program = require_tool("systemctl", package="systemd", what=what)
    ended = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise CannotError(f"cannot {what}: systemctl says: {said}")


def quoted(word: str) -> str:
    """A word of ExecStart, as systemd.service(5) wants it. Raises CannotError."""
    if set(word) & set("\"'\\$"):
        raise CannotError(
            f"cannot make a unit of systemd: {word} has a quote, a backslash or a dollar",
            hint="put zosnet elsewhere, such as /opt/zosnet",
            code=Exit.USAGE,
        )
    text = word.replace("%", "%%")
    return f'"{text}"' if set(text) & set(" \t;") else text


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
