"""What a test machine has on it: this machine's own programs and Python, and zosnet's wheel.

    image = build_image(directory)
    image.make_initramfs(path, {"/scenario": "poweroff -f"})     # what one machine has beside

All machines share two disks, which none can write to. The base (programs, Python, the packages
that the agent and its tests need, the kernel's modules) takes seconds to make, so it is kept in
CACHE, by what it is made from; the project is made anew for each run. The kernel is Debian's for
clouds; script/bootstrap dev unpacks it into CACHE. Nothing of it is installed on this machine.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

from lab.host import TREE
from tests.vm.files import Files, gather

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zosnet"
KEEP = 7 * 24 * 3600  # seconds that a base stays when nobody uses it
KERNEL = CACHE / "kernel"  # script/bootstrap knows it too
HOME = "/opt/zosnet"
GUEST = Path(__file__).parent / "guest"
PACKAGES = f"{HOME}/lib/python3.11/site-packages"
STANDARD = Path("/usr/lib/python3.11")
# What is not in busybox, or is not the same there.
PROGRAMS = (
    *("dash", "busybox", "ip", "bridge", "ss", "nft", "wg", "wireguard-go", "ping", "sysctl"),
    *(
        "ps",
        "pgrep",
        "modprobe",
        "dnsmasq",
        "radvd",
        "tcpdump",
        "stat",
        "env",
        "nsenter",
        "unshare",
    ),
)
LIBRARIES = ("libnftables.so.1", "libgcc_s.so.1")  # loaded by name
DISTRIBUTIONS = (
    *("msgspec", "pynacl", "cffi", "pyroute2", "pyzmq", "pyyaml"),
    *("pytest", "pytest-timeout", "pluggy", "iniconfig", "packaging", "pygments"),
)
LEFT_OUT = (
    *("test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "pydoc_data", "config-*"),
    *("_test*", "_sqlite3*", "_dbm*", "_curses*", "_codecs_*", "readline*", "nis*", "xx*"),
)
# To the disks, in this order; after that modprobe finds the way.
FIRST_MODULES = (
    *("drivers/virtio/virtio_ring.ko", "drivers/virtio/virtio.ko"),
    *("drivers/virtio/virtio_pci_legacy_dev.ko", "drivers/virtio/virtio_pci_modern_dev.ko"),
    *("drivers/virtio/virtio_pci.ko", "drivers/block/virtio_blk.ko", "fs/overlayfs/overlay.ko"),
)
TESTS = ("tests/fakes", "tests/lab", "tests/netns", "tests/vm")
MODULES = (
    *("net/bridge", "net/ipv4", "net/ipv6", "net/netfilter", "net/8021q", "net/802", "net/llc"),
    *("net/core", "net/sched", "net/packet", "net/tls"),  # tls: for bonding
    *("drivers/net", "drivers/net/wireguard", "drivers/net/bonding"),
    *("drivers/virtio", "drivers/block", "drivers/char", "fs/overlayfs"),
    *("crypto", "lib", "arch/x86/crypto"),
)


@dataclass(frozen=True, slots=True)
class Image:
    kernel: Path
    initramfs: Path
    disks: tuple[Path, Path]

    def make_initramfs(self, path: Path, own: Mapping[str, str | bytes]) -> None:
        """For one machine, which has the files `own` beside what all have."""
        with gather() as files:
            for name, content in own.items():
                files.write(f"/own{name}", content, mode=0o700)
            files.make_initramfs(path, behind=self.initramfs)


def build_image(directory: Path) -> Image:
    """What is not kept in CACHE goes into `directory`."""
    if not KERNEL.exists():
        raise FileNotFoundError(f"there is no {KERNEL}: script/bootstrap dev")
    (kernel,) = (KERNEL / "boot").glob("vmlinuz-*")
    base = CACHE / f"base-{_recipe(kernel)}.ext4"
    if not base.exists():
        _forget_old_bases()
        _make_base(base)
    base.touch()
    project, initramfs = directory / "project.ext4", directory / "initramfs"
    _make_project(project, directory)
    _make_initramfs(initramfs)
    return Image(kernel, initramfs, (base, project))


def _recipe(kernel: Path) -> str:
    """A short hash of what the base is made from."""
    sources = [_program(name) for name in PROGRAMS]
    facts = [f"{path} {path.stat().st_mtime_ns}" for path in (kernel, *sources)]
    digest = sha256("\n".join(facts).encode())
    for file in (Path(__file__), TREE / "requirements/dev.txt", GUEST / "init.sh"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


# -- the base


def _forget_old_bases() -> None:
    for base in CACHE.glob("base-*"):
        if time.time() - base.stat().st_mtime > KEEP:  # noqa: TID251  # it was used then
            base.unlink()


def _make_base(path: Path) -> None:
    new = path.with_suffix(f".{os.getpid()}")
    with gather() as files:
        for name in ("bin", "sbin", "lib", "lib64"):
            files.link(f"/{name}", f"usr/{name}")
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "disk", "var/lib", "var/log"):
            files.directory(f"/{name}")
        files.link("/var/run", "/run")
        files.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        files.write("/etc/group", "root:x:0:\n")
        files.copy(GUEST / "init.sh", "/init")
        _add_programs(files)
        _add_python(files)
        _add_modules(files)
        files.make_disk(new)
    new.rename(path)


def _add_programs(files: Files) -> None:
    paths = [_program(name) for name in PROGRAMS]
    for name, path in zip(PROGRAMS, paths, strict=True):
        files.copy(path, f"/usr/bin/{name}")
    files.link("/usr/bin/sh", "dash")
    files.link("/usr/sbin/modprobe", "../bin/modprobe")  # where the kernel looks for it
    for applet in subprocess.check_output(["busybox", "--list"], text=True).split():
        files.link(f"/usr/bin/{applet}", "busybox")
    libraries = [Path("/usr/lib/x86_64-linux-gnu") / name for name in LIBRARIES]
    for path in libraries:
        files.copy(path, str(path))
    _add_libraries(files, [*paths, *libraries])


def _add_python(files: Files) -> None:
    python = STANDARD.parents[1] / "bin/python3.11"
    files.copy(python, str(python))
    files.link("/usr/bin/python3", "python3.11")
    copied = files.tree(STANDARD, str(STANDARD), without=LEFT_OUT)
    files.link(f"{HOME}/bin/python", str(python))
    files.write(f"{HOME}/pyvenv.cfg", f"home = {python.parent}\n")
    for name in DISTRIBUTIONS:
        found = distribution(name)
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            if ".." not in file.parts and source.exists():
                files.copy(source, f"{PACKAGES}/{file}")
                copied.append(source)
    _add_libraries(files, [python, *(file for file in copied if file.suffix == ".so")])


def _add_modules(files: Files) -> None:
    modules = _modules()
    where = f"/usr/lib/modules/{modules.name}"
    for file in modules.glob("modules.*"):
        files.copy(file, f"{where}/{file.name}")
    for part in MODULES:
        # of drivers only those right there: there are too many kinds of hardware below
        below = "*.ko" if part.startswith("drivers/") else "**/*.ko"
        for file in (modules / "kernel" / part).glob(below):
            files.copy(file, f"{where}/{file.relative_to(modules)}")


def _make_initramfs(path: Path) -> None:
    modules = _modules() / "kernel"
    with gather() as files:
        files.copy(GUEST / "initramfs.sh", "/init")
        files.copy(_program("busybox"), "/bin/busybox")
        for name in FIRST_MODULES:
            files.copy(modules / name, f"/modules/{Path(name).name}")
        order = "".join(f"{Path(name).name}\n" for name in FIRST_MODULES)
        files.write("/modules/order", order)
        files.make_initramfs(path)


def _modules() -> Path:
    (modules,) = (KERNEL / "lib/modules").iterdir()
    return modules


def _program(name: str) -> Path:
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"there is no {name}: script/bootstrap dev")
    return Path(found).resolve()


def _add_libraries(files: Files, programs: Iterable[Path]) -> None:
    for path in _libraries(programs):
        files.copy(path, f"/usr/{str(path).removeprefix('/').removeprefix('usr/')}")


def _libraries(programs: Iterable[Path]) -> Iterator[Path]:
    """What the dynamic linker would load for them; static ones need nothing."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"(?:=> |^\t)(/(?:usr/)?lib\S+) \(0x", said, re.MULTILINE))
    yield from map(Path, sorted(found))


# -- the project


def _make_project(path: Path, directory: Path) -> None:
    """The wheel as pip would install it, and the tests beside it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=TREE, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    stage = directory / "stage"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(stage)
    for name in TESTS:
        shutil.copytree(TREE / name, stage / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/__init__.py", "pyproject.toml"):
        shutil.copy(TREE / name, stage / name)
    compile_all = [sys.executable, "-m", "compileall", "-q", "-j", "2", "-s", str(stage)]
    subprocess.run([*compile_all, "-p", PACKAGES, str(stage)], check=True)
    with gather() as files:
        files.tree(stage, PACKAGES)
        for name, script in _scripts(stage / "pyproject.toml").items():
            files.write(f"{HOME}/bin/{name}", script, mode=0o755)
        files.make_disk(path)


def _scripts(project: Path) -> dict[str, str]:
    named = tomllib.loads(project.read_text())["project"]["scripts"]
    targets = {name: target.split(":") for name, target in named.items()}
    return {
        name: f"#!{HOME}/bin/python\nimport sys\nfrom {module} import {function}\n"
        f"sys.exit({function}())\n"
        for name, (module, function) in targets.items()
    }
