"""A pool's range, and which of its addresses members get (pure)."""

from controller.addresses.space import Shape
from controller.store.records import Pool
from protocol.packing import IPAddress, IPNetwork


def usable_range(network: IPNetwork) -> tuple[IPAddress, IPAddress]:
    """The first and last address for members: not the network's own, the first (a gateway's),
    and in IPv4 the broadcast address. Raises ValueError when nothing is left.
    """
    first = int(network.network_address) + 2
    last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    if last < first:
        raise ValueError(f"{network} has no address for a member")
    kind = type(network.network_address)
    return kind(first), kind(last)


def shape_of(pool: Pool, member_prefix: int = 0) -> Shape:
    """What members get of a pool: each address of its range; or with `member_prefix` (the length of
    an IPv4 subnet that each member has for itself) the first address of each subnet in it.
    """
    first, last = int.from_bytes(pool.first), int.from_bytes(pool.last)
    if pool.family == 6 or not member_prefix:
        return Shape(first, 1, last - first + 1)
    step = subnet_size(member_prefix)
    base, _ = ends_of(pool)
    lowest = -((base + 1 - first) // step)  # the one whose first address is not below the range,
    highest = (last + 2 - step - base) // step  # and whose last is not above
    return Shape(base + lowest * step + 1, step, max(0, highest - lowest + 1))


def ends_of(pool: Pool) -> tuple[int, int]:
    """The first and the last address of its prefix."""
    prefix = pool.range
    size = 1 << prefix.max_prefixlen - prefix.prefixlen
    base = int.from_bytes(pool.first) & -size
    return base, base + size - 1


def subnet_size(member_prefix: int) -> int:
    return 1 << 32 - member_prefix
