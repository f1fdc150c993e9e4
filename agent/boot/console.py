"""What a boot says to whoever stands before the node: a line for each phase, and why it waits. Pure.

said = news(before, now, elapsed=2.31)     # two records of the journal; None: nothing new
# "uplink eth0: RFC1918 IPv4 192.168.7.169/24 by 192.168.7.1"
"""

from agent.boot.status import BootStatus, Step
from agent.boot.uplink import natural


def news(before: BootStatus, now: BootStatus, *, elapsed: float) -> str | None:
    """`elapsed`: seconds since the node's boot instant, as `resting_until` is."""
    if _rests_anew(before, now):
        why = "; ".join(f"{nic.name}: {nic.reason}" for nic in now.nics) or "there is no NIC"
        pause = max(0.0, (now.resting_until or 0.0) - elapsed)
        return f"no uplink yet: {why}; asking again in {pause:.0f} s"
    if now.uplink is not None and now.uplink != before.uplink:
        return f"uplink {now.uplink.nic}: {now.uplink.reason}"
    if now.step is Step.PROBE and (names := _names(now)) != _names(before):
        return f"asking for a network on {', '.join(sorted(names, key=natural))}" if names else None
    if now.step is before.step:
        return None
    match now.step:
        case Step.UNIT:
            return f"zos stands on {now.uplink.nic if now.uplink else 'its port'}"
        case Step.DONE:
            return "done: dhcp zos keeps the lease"
        case _:
            return None


def _rests_anew(before: BootStatus, now: BootStatus) -> bool:
    """Another rest, not the same one measured again."""
    if now.resting_until is None:
        return False
    return before.resting_until is None or now.resting_until - before.resting_until > 0.5


def _names(status: BootStatus) -> set[str]:
    return {nic.name for nic in status.nics}
