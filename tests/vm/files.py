"""Files that a machine shall have, gathered in a directory: a disk or an initramfs is made of them.

with gather() as files:
    files.write("/etc/hostname", "n1")
    files.tree(directory, "/opt/zosnet")
    files.make_disk(path)              # ext4
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import translate
from pathlib import Path
from tempfile import TemporaryDirectory

_SPARE = 1.3  # of a disk's size, for what the file system needs itself


class Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> None:
        target = self._place(path)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """What is there already stays."""
        if not (place := self._place(path)).exists():
            place.symlink_to(target)

    def directory(self, path: str) -> None:
        self._place(path).mkdir(exist_ok=True)

    def copy(self, source: Path, path: str) -> None:
        """The file that `source` is or leads to, with its mode and time."""
        shutil.copy2(source, self._place(path))

    def tree(self, source: Path, path: str, *, without: Iterable[str] = ()) -> list[Path]:
        """Files and links below `source`, but for those that have a name like one of `without` on
        their way; returns the files.
        """
        leave_out = re.compile("|".join(map(translate, without)) or "(?!)")
        files = []
        for found in source.rglob("*"):
            inside = found.relative_to(source)
            if any(map(leave_out.match, inside.parts)):
                continue
            if found.is_symlink():
                self.link(f"{path}/{inside}", str(found.readlink()))
            elif found.is_file():
                self.copy(found, f"{path}/{inside}")
                files.append(found)
        return files

    def make_disk(self, path: Path) -> None:
        found = [file for file in self._directory.rglob("*") if not file.is_symlink()]
        size = sum(file.stat().st_size + 4096 for file in found)
        make_disk(path, int(size * _SPARE) + (8 << 20), content=self._directory)

    def make_initramfs(self, path: Path, *, behind: Path | None = None) -> None:
        """`behind`: another one, to which these files are added."""
        names = subprocess.run(["find", "."], cwd=self._directory, capture_output=True, check=True)
        with path.open("wb") as file:
            if behind is not None:
                file.write(behind.read_bytes())
            file.flush()
            pack = ["busybox", "cpio", "-o", "-H", "newc"]
            subprocess.run(
                pack,
                cwd=self._directory,
                input=names.stdout,
                stdout=file,
                stderr=subprocess.DEVNULL,
                check=True,
            )

    def _place(self, path: str) -> Path:
        target = self._directory / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


@contextmanager
def gather() -> Iterator[Files]:
    with TemporaryDirectory() as directory:
        yield Files(Path(directory))


def make_disk(path: Path, size: int, *, content: Path | None = None) -> None:
    """An ext4 of `size` bytes; sparse, so that it takes what is in it."""
    with path.open("wb") as file:
        file.truncate(size)
    fill: list[str | Path] = [] if content is None else ["-d", content]
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", *fill, path], check=True)
