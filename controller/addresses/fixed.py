"""Addresses that somebody decided: manual ones of members, reserved ones before a first contact.

    assign_fixed(book, work, network, node, address, kind="reserved")
    change_fixed(book, work, network, node, [address, ...])     # these and no others are fixed
    release_fixed(book, work, network, node, address)

A fixed address is in one of the network's ranges, free, and not in anybody's quarantine; it takes the
place of the address of its family that the member got by itself. One that a living token promises is
its holder's. Who changes a member's addresses gives
it a new certificate (`members.certificate.renew`). All raise RefusedError, which names the holder.
"""

from collections.abc import Collection
from datetime import UTC, datetime

from controller.addresses.assignment import known, release_one
from controller.addresses.book import AddressBook, Place
from controller.addresses.pools import subnet_size
from controller.refusal import RefusedError
from controller.store.records import Assignment, Network, sixteen
from controller.store.work import QUARANTINE_MS, Work
from protocol.messages import Code
from protocol.packing import IPAddress

FIXED_MAX = 8  # of a member; its certificate has room for sixteen


def assign_fixed(
    book: AddressBook,
    work: Work,
    number: int,
    node: int,
    address: IPAddress,
    *,
    kind: str = "manual",
    seat: bool = False,
    token: bytes = b"",
) -> bool:
    """Give a member this very address; whether it had not got it like that already. `seat`: it is
    the management member's, the first of its range. `token`: the key of the one that it came with.
    """
    place = check_free(book, work, number, node, address, seat=seat, token=token)
    key = sixteen(address)
    row = Assignment(number, key, address.version, place.length, node, kind, released_at=0)
    held = work.addresses(number, node)
    if row in held:
        return False
    place.space.wake(int.from_bytes(key)) or place.space.take(int.from_bytes(key))
    if any(old.address == key for old in held):
        work.assignments.put(row)
    else:
        work.assignments.take_over(row)
    for old in held:
        replaced = old.family == row.family and old.kind == "auto" and old.address != key
        if replaced and not old.released_at:
            release_one(book, work, old)
    return True


def change_fixed(
    book: AddressBook, work: Work, number: int, node: int, addresses: Collection[IPAddress]
) -> bool:
    """The member has these fixed addresses from now on; whether it had others."""
    if len(addresses) > FIXED_MAX:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot assign {len(addresses)} addresses to one member: {FIXED_MAX} at most",
        )
    wanted = {sixteen(address) for address in addresses}
    changed = False
    for row in work.addresses(number, node):
        if row.kind != "auto" and not row.released_at and row.address not in wanted:
            release_one(book, work, row)
            changed = True
    for address in addresses:
        changed |= assign_fixed(book, work, number, node, address, kind=_kind(work, number, node))
    return changed


def release_fixed(
    book: AddressBook, work: Work, number: int, node: int, address: IPAddress
) -> None:
    """It rests; the member gets another by itself when it asks for one."""
    for row in work.addresses(number, node):
        if row.address == sixteen(address) and row.kind != "auto" and not row.released_at:
            release_one(book, work, row)
            return
    raise RefusedError(
        Code.NOT_FOUND, f"cannot release {address}: it is no fixed address of this member"
    )


def check_free(
    book: AddressBook,
    work: Work,
    number: int,
    node: int,
    address: IPAddress,
    *,
    seat: bool = False,
    token: bytes = b"",
) -> Place:
    """The place of an address that this node may be given. Raises RefusedError."""
    place = _place(book, work, number, address)
    held = work.holder(number, sixteen(address))
    if held is not None and held.node == node and not held.released_at:
        return place
    if not seat:
        _check_kept(book, work, place, address, token)
    if held is None or held.node == node:
        return place
    if not held.released_at:
        raise _refused(address, f"{_name(work, held)} has it")
    free_at = held.released_at + QUARANTINE_MS
    if free_at > work.now_ms:
        until = datetime.fromtimestamp(free_at / 1000, UTC)
        raise _refused(
            address,
            f"{_name(work, held)} had it, and it rests until {until:%Y-%m-%dT%H:%M:%SZ}",
        )
    return place


def check_promise(
    book: AddressBook, work: Work, number: int, address: IPAddress, token: bytes
) -> None:
    """Whether this token may promise an address to its holder: nobody has it, and no other token
    promises it. It may rest: who had it last may be who comes. Raises RefusedError.
    """
    place = _place(book, work, number, address)
    held = work.holder(number, sixteen(address))
    if held is not None and not held.released_at:
        raise _refused(address, f"{_name(work, held)} has it")
    _check_kept(book, work, place, address, token)


def _place(book: AddressBook, work: Work, number: int, address: IPAddress) -> Place:
    """Where the address is, if it is one for members."""
    network = known(work, number)
    place = book.find(work, network, int.from_bytes(sixteen(address)))
    if place is None:
        raise _refused(address, f"it is in no range of network {network.name}")
    _check_form(network, place, address)
    return place


def _check_kept(
    book: AddressBook, work: Work, place: Place, address: IPAddress, token: bytes
) -> None:
    """For the management member, or for the holder of a token that is not this one."""
    key = sixteen(address)
    if int.from_bytes(key) == place.base + 1:
        raise _refused(address, "it is kept for the management member")
    tokens = book.promises.tokens(place.pool.network, key, work.now_ms)
    if tokens and token not in tokens:
        first = min(tokens, key=lambda other: (tokens[other], other))
        until = datetime.fromtimestamp(tokens[first] / 1000, UTC)
        name = first[:6].hex()
        raise RefusedError(
            Code.CONFLICT,
            f"cannot assign {address}: token {name} promises it until {until:%Y-%m-%dT%H:%M:%SZ}",
            hint=f"ncadm token revoke {name}",
        )


def _check_form(network: Network, place: Place, address: IPAddress) -> None:
    """Not the range's own address, nor its broadcast; of subnets the first."""
    number = int.from_bytes(sixteen(address))
    if number == place.base:
        raise _refused(address, f"it is the address of {place.pool.prefix} itself")
    if address.version == 6:
        return
    if number == place.end:
        raise _refused(address, f"it is the broadcast address of {place.pool.prefix}")
    if network.member_prefix:
        size = subnet_size(network.member_prefix)
        beside = (number - place.base) % size - 1
        if beside:
            near = address - beside
            raise RefusedError(
                Code.CONFLICT,
                f"cannot assign {address}: members of network {network.name} have a"
                f" /{network.member_prefix} each, and its first address",
                hint=f"did you mean {near}?",
            )


def _kind(work: Work, number: int, node: int) -> str:
    """Reserved for who was never here."""
    member = work.member(number, node)
    return "manual" if member is not None and member.serial else "reserved"


def _name(work: Work, row: Assignment) -> str:
    member = work.sound_member(row.network, row.node)
    address = f"{row.node:010x}"
    return f"member {member.name} ({address})" if member and member.name else f"member {address}"


def _refused(address: IPAddress, reason: str) -> RefusedError:
    return RefusedError(Code.CONFLICT, f"cannot assign {address}: {reason}")
