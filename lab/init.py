"""PID 1 of a world and of every node in it: makes the namespaces and mounts, starts programs, reaps.

    python -I -S lab/init.py FD NAME

makes a world and serves requests from socket FD. A request is one packet of fields joined by NUL,
with open files beside it:

    run ENVIRONMENT-COUNT ENVIRONMENT… ARGV…   files: status socket, stdin, stdout, stderr
    node NAME (disk|bare)                      files: the new node's own request socket
    release

A status socket says "started" (its credentials carry the pid) and "exited WAIT-STATUS", or "failed
ERRNO". A node's socket first says "ready" or "failed REASON". The leash: when a world's socket
closes before "release", PID 1 exits and the kernel ends everything in the world. Starts with
nothing but the standard library, because a world is made before anything else is known to work.
"""

import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys

REQUEST_SIZE = 200_000  # bytes; what a socket buffer holds by default
LOG = "/run/log"  # where a world keeps what its programs say
DISKS = "/run/disks"  # a node's disk: what it changed below these directories
DISK_TOPS = ("etc", "var/lib", "var/log")
# Empty on a new disk, whatever the machine has there: it may be a node or a controller itself.
DISK_OWN = {
    "etc/zosnet": 0o755,
    "etc/zinit": 0o755,
    "etc/netns": 0o755,
    "var/lib/zosnet": 0o700,
    "var/log/zosnet": 0o755,
}

CLONE_ALL = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # mnt uts ipc pid net
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)
children: dict[int, socket.socket] = {}  # pid -> status socket of a program that runs


def main(argv: list[str]) -> int:
    control = socket.socket(fileno=int(argv[1]))
    try:
        enter_new_namespaces()
    except OSError as error:
        control.send(b"failed " + str(error).encode())
        return 1
    pid = os.fork()
    if pid == 0:
        live(control, argv[2], kind="world")
    control.close()
    redirect_output(os.devnull)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def live(control: socket.socket, name: str, *, kind: str) -> None:
    """Be PID 1 of a `kind` of world, disk or bare; never returns."""
    try:
        furnish(name, kind)
        wake = watch_children()
        control.send(b"ready")
        serve(control, wake, leash=kind == "world")
    except OSError as error:
        control.send(b"failed " + str(error).encode())
    os._exit(0)


# -- what a namespace needs to feel like a machine


def enter_new_namespaces() -> None:
    if libc.unshare(CLONE_ALL) != 0:
        raise last_error("unshare")


def furnish(name: str, kind: str) -> None:
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mount("proc", "/proc", "proc", safe)
    mount("sysfs", "/sys", "sysfs", safe)  # an old one shows the NICs of the old namespace
    if kind == "disk":
        insert_disk(f"{DISKS}/{name}")
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for directory in ("/run/netns", "/run/lock"):
        os.mkdir(directory)
    if kind == "world":
        os.mkdir(LOG)
        os.mkdir(DISKS)
        redirect_output(f"{LOG}/init.log")
    socket.sethostname(name)
    bring_up("lo")


def insert_disk(disk: str) -> None:
    """Lay the node's own files over the machine's; what it writes goes to its disk."""
    if not os.path.exists(disk):
        format_disk(disk)
    for top in DISK_TOPS:
        upper, work = f"{disk}/{top}", f"{disk}/work/{top}"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        options = f"lowerdir=/{top},upperdir={upper},workdir={work}"
        mount("overlay", f"/{top}", "overlay", 0, options)


def format_disk(disk: str) -> None:
    for directory, mode in DISK_OWN.items():
        os.makedirs(f"{disk}/{directory}")
        os.chmod(f"{disk}/{directory}", mode)
        os.setxattr(f"{disk}/{directory}", "trusted.overlay.opaque", b"y")
    with open(f"{disk}/etc/resolv.conf", "w"):
        pass


def redirect_output(path: str) -> None:
    """Hold no file of the owner: a released world must not keep its terminal or pipe open."""
    for fd, name, flags in ((0, os.devnull, os.O_RDONLY), (1, path, os.O_WRONLY | os.O_CREAT)):
        opened = os.open(name, flags | os.O_APPEND, 0o644)
        os.dup2(opened, fd)
        os.close(opened)
    os.dup2(1, 2)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode())
    if libc.mount(*arguments) != 0:
        raise last_error(f"mount {kind} on {target}")


def bring_up(link: str) -> None:
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", link.encode(), iff_up))


def last_error(doing: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{doing}: {os.strerror(number)}")


# -- requests


def watch_children() -> int:
    """A pipe that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def serve(control: socket.socket, wake: int, *, leash: bool) -> None:
    watched = [control.fileno(), wake]
    while True:
        readable, _, _ = select.select(watched, [], [])
        if wake in readable:
            try:
                os.read(wake, 512)
            except BlockingIOError:
                pass
            reap()
        if control.fileno() not in readable:
            continue
        request, files, _, _ = socket.recv_fds(control, REQUEST_SIZE, 4, socket.MSG_CMSG_CLOEXEC)
        if request == b"release":
            leash = False
        elif request:
            answer(request.split(b"\0"), files)
        elif leash:
            return
        else:
            watched = [wake]


def reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        owner = children.pop(pid, None)
        if owner is not None:
            tell(owner, b"exited %d" % status)
            owner.close()


def answer(fields: list[bytes], files: list[int]) -> None:
    if fields[0] == b"run":
        start_program(fields[1:], files)
    elif fields[0] == b"node":
        start_node(fields[1].decode(), fields[2].decode(), files)


def start_program(fields: list[bytes], files: list[int]) -> None:
    status = socket.socket(fileno=files[0])
    pid = os.fork()
    if pid == 0:
        become_program(fields, status, files[1:])
    for fd in files[1:]:
        os.close(fd)
    children[pid] = status


def become_program(fields: list[bytes], status: socket.socket, standard: list[int]) -> None:
    count = int(fields[0])
    environment = dict(field.split(b"=", 1) for field in fields[1 : count + 1])
    argv = fields[count + 1 :]
    signal.set_wakeup_fd(-1)
    for ignored in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT):
        signal.signal(ignored, signal.SIG_DFL)  # Python ignores SIGPIPE, and exec keeps that
    os.setsid()
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
    tell(status, b"started")
    try:
        os.chdir("/")
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        tell(status, b"failed %d" % (error.errno or errno.ENOEXEC))
    os._exit(127)


def start_node(name: str, kind: str, files: list[int]) -> None:
    """Fork twice: only a child of who asked for a pid namespace lives in it. We adopt PID 1."""
    if os.fork() != 0:
        os.close(files[0])
        return
    control = socket.socket(fileno=files[0])
    for status in children.values():
        status.close()
    children.clear()
    try:
        enter_new_namespaces()
    except OSError as error:
        tell(control, b"failed " + str(error).encode())
        os._exit(1)
    if os.fork() == 0:
        live(control, name, kind=kind)
    os._exit(0)


def tell(listener: socket.socket, words: bytes) -> None:
    try:
        listener.send(words)
    except OSError:
        pass  # nobody listens any more


if __name__ == "__main__":
    sys.exit(main(sys.argv))
