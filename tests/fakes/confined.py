"""Run a program as a unit of systemd with these capabilities would run it, here without systemd.

    python tests/fakes/confined.py CAP_NET_ADMIN,CAP_NET_RAW PROGRAM ARGUMENT…

CapabilityBoundingSet, NoNewPrivileges and MemoryDenyWriteExecute, by what they are made of: prctl(2).
"""

import ctypes
import os
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65
PR_MDWE_REFUSE_EXEC_GAIN = 1
# linux/capability.h: those that a test may leave to a program.
NUMBERS = {
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_TIME": 25,
}
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    kept = {NUMBERS[name] for name in filter(None, sys.argv[1].split(","))}
    last = int(open("/proc/sys/kernel/cap_last_cap").read())  # noqa: PTH123, SIM115
    for number in set(range(last + 1)) - kept:
        _prctl(PR_CAPBSET_DROP, number)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
