"""Links, addresses, routes and neighbours of one namespace: look at them and change them.

    netlink = await Netlink.open(spaces, "ndmz")
    bridge = await netlink.add_bridge("br-ndmz", role="bridge")
    await netlink.set_link(bridge.index, up=True)
    …
    await netlink.close()          # before the namespace is deleted: a socket keeps it alive

A call is carried through, also when its caller is cancelled half-way. Deleting what is not there
is done already. What the kernel refuses is a NetlinkError that carries the errno. Does not watch:
that is `monitor`.
"""

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netns import decode, encode
from netns.encode import Flag, Noun, RefusedError, Request
from netns.lean import enter_package
from netns.spaces import HOST, Spaces
from netns.values import (
    Address,
    IPAddress,
    IPInterface,
    IPNetwork,
    Link,
    Neighbour,
    Protocol,
    Route,
)
from runtime.failure import CannotError, Exit

if TYPE_CHECKING:
    from netns.rtnl import Conversation

_CODES = {
    errno.EPERM: Exit.DENIED,
    errno.EACCES: Exit.DENIED,
    errno.ENODEV: Exit.NOT_FOUND,
    errno.EEXIST: Exit.CONFLICT,
}
_NEW = Flag.CREATE | Flag.EXCL
_PUT = Flag.CREATE | Flag.REPLACE


class NetlinkError(CannotError):
    """The kernel refused; decide on `errno`, never on the text."""

    def __init__(self, what: str, code: int, reason: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"cannot {what}: {reason}", hint=hint, code=_CODES.get(code, Exit.INTERNAL)
        )
        self.errno = code


class Netlink:
    """Make one with `open`."""

    def __init__(self, spaces: Spaces, space: str, rtnl: "Conversation") -> None:
        self._spaces, self.space, self._rtnl = spaces, space, rtnl

    @classmethod
    async def open(cls, spaces: Spaces, space: str = HOST) -> "Netlink":
        enter_package("pyroute2")
        from netns import rtnl  # noqa: PLC0415  # 40 ms of import, saved where none is opened

        return cls(spaces, space, rtnl.Conversation(await spaces.run(space, rtnl.make_socket)))

    async def close(self) -> None:
        """More than once is once."""
        await self._rtnl.close()

    async def links(self) -> list[Link]:
        with _cannot("list links"):
            payloads = await self._rtnl.dump(Request(Noun.LINK))
        return [decode.decode_link(payload) for payload in payloads]

    async def link(self, name: str) -> Link | None:
        return await self._get_link(Request(Noun.LINK, {}, [("IFLA_IFNAME", name)]), name)

    async def link_at(self, index: int) -> Link | None:
        return await self._get_link(Request(Noun.LINK, {"index": index}), str(index))

    async def addresses(self, link: int | None = None) -> list[Address]:
        with _cannot("list addresses"):
            payloads = await self._rtnl.dump(Request(Noun.ADDRESS, {"index": link or 0}))
        found = (decode.decode_address(payload) for payload in payloads)
        return [a for a in found if a is not None and link in (None, a.link)]

    async def routes(self, family: int | None = None) -> list[Route]:
        """The unicast routes of the main table; `family` is 4, 6, or None for both."""
        payloads: list[bytes] = []
        for version in (4, 6) if family is None else (family,):
            with _cannot("list routes"):
                payloads += await self._rtnl.dump(encode.all_routes(version))
        return [route for payload in payloads for route in decode.decode_routes(payload)]

    async def neighbours(self, link: int) -> list[Neighbour]:
        with _cannot("list neighbours"):
            payloads = await self._rtnl.dump(Request(Noun.NEIGHBOUR, {}, [("NDA_IFINDEX", link)]))
        found = (decode.decode_neighbour(payload) for payload in payloads)
        return [n for n in found if n is not None and n.link == link]

    async def probe_neighbour(self, link: int, address: IPAddress, mac: str = "") -> None:
        """Let the kernel find out whether `address` answers; `neighbours` shows what it found.

        With the `mac` that is known it asks there at once, and goes on to use it meanwhile.
        """
        with _cannot(f"ask for {address}"):
            await self._rtnl.put(encode.probed_neighbour(link, address, mac), _PUT)

    async def add_link(self, name: str, kind: str, *, role: str) -> Link:
        """A link that needs no more than its kind, such as "wireguard" or "dummy"."""
        await self._add(name, encode.new_link(name, kind), f"add {kind} {name}")
        return await self._mark(name, role)

    async def add_bridge(self, name: str, *, role: str, mac: str | None = None) -> Link:
        """A bridge that forwards from the first moment (no delay, no STP, no snooping), and learns
        only from frames that nftables lets through.
        """
        await self._add(name, encode.new_bridge(name, mac=mac), f"add bridge {name}")
        return await self._mark(name, role)

    async def add_veth(
        self,
        name: str,
        *,
        role: str,
        peer: str,
        peer_space: str | None = None,
        peer_role: str | None = None,
        mac: str | None = None,
        peer_mac: str | None = None,
        there: "Netlink | None" = None,
    ) -> Link:
        """A veth pair; the peer is born in `peer_space` (None: here), with `peer_role` (None:
        `role`). Returns the near end. `there`: of the peer's space, if one is open.
        """
        space = self.space if peer_space is None else peer_space
        fd = self._spaces.open_fd(space)
        try:
            request = encode.new_veth(name, mac=mac, peer=peer, peer_mac=peer_mac, peer_fd=fd)
            await self._add(name, request, f"add veth {name} with peer {peer}")
        finally:
            os.close(fd)
        # The near end last: without its mark the whole pair is made again.
        far_role = role if peer_role is None else peer_role
        if there is not None:
            await there._mark(peer, far_role)  # noqa: SLF001  # the same class
        else:
            await self._mark_peer(peer, space, far_role)
        return await self._mark(name, role)

    async def add_vlan(self, name: str, *, role: str, lower: int, number: int) -> Link:
        """What link `lower` carries with this tag."""
        await self._add(name, encode.new_vlan(name, lower=lower, number=number), f"add VLAN {name}")
        return await self._mark(name, role)

    async def add_bond(self, name: str, *, role: str, mode: str) -> Link:
        """A bond without NICs yet: `set_link(nic, master=…)` of NICs that are down. It cannot be
        moved into another namespace.
        """
        await self._add(name, encode.new_bond(name, mode), f"add bond {name}")
        return await self._mark(name, role)

    async def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mac: str | None = None,
        mtu: int | None = None,
        master: int | None = None,
        name: str | None = None,
        role: str | None = None,
        isolated: bool | None = None,
        learning: bool | None = None,
    ) -> None:
        """Change what is given. `master` 0: out of its bridge; `role` "": not ours any more."""
        link = encode.changed_link(
            index, up=up, mac=mac, mtu=mtu, master=master, name=name, role=role
        )
        port = encode.changed_port(index, isolated=isolated, learning=learning)
        with _cannot(f"change link {name or index}"):
            if link.attributes or "change" in link.fields:
                await self._rtnl.put(link)
            if port.attributes:
                await self._rtnl.put(port)

    async def move(self, index: int, space: str, *, name: str | None = None) -> None:
        """Into `space`, as `name` if given: down and without addresses; its index may change.

        A bridge cannot be moved.
        """
        fd = self._spaces.open_fd(space)
        try:
            with _cannot(f"move link {index} to {f'namespace {space}' if space else 'the host'}"):
                await self._rtnl.put(encode.moved_link(index, fd, name))
        finally:
            os.close(fd)

    async def move_home(self, index: int, *, name: str | None = None) -> None:
        """To the namespace the program was started in, which need not be the kernel's first."""
        await self.move(index, HOST, name=name)

    async def delete_link(self, index: int) -> None:
        with _cannot(f"delete link {index}", unless=(errno.ENODEV,)):
            await self._rtnl.delete(Request(Noun.LINK, {"index": index}))

    async def delete_links(self, indexes: Collection[int]) -> None:
        """All at once: the kernel waits for its readers once, and not for each (10 ms and more)."""
        if len(indexes) < 2:
            for index in indexes:
                await self.delete_link(index)
            return
        for index in indexes:
            with _cannot(f"delete link {index}", unless=(errno.ENODEV,)):
                await self._rtnl.put(encode.doomed_link(index))
        with _cannot("delete links", unless=(errno.ENODEV,)):
            await self._rtnl.delete(encode.doomed_links())

    async def replace_address(
        self,
        index: int,
        interface: IPInterface,
        *,
        valid_s: int | None = None,
        preferred_s: int | None = None,
        nodad: bool = False,
    ) -> None:
        """Add the address, or give it new lifetimes; None is for ever, and `preferred_s` is at
        most `valid_s`. `nodad` (IPv6): usable at once, without duplicate detection.
        """
        request = encode.new_address(
            index, interface, valid_s=valid_s, preferred_s=preferred_s, nodad=nodad
        )
        with _cannot(f"add address {interface}"):
            await self._rtnl.put(request, _PUT)

    async def delete_address(self, index: int, interface: IPInterface) -> None:
        gone = (errno.EADDRNOTAVAIL, errno.ENODEV)
        with _cannot(f"delete address {interface}", unless=gone):
            await self._rtnl.delete(encode.old_address(index, interface))

    async def replace_route(
        self,
        destination: IPNetwork | None,
        *,
        link: int,
        via: IPAddress | None = None,
        metric: int | None = None,
        family: int | None = None,
        onlink: bool = False,
        protocol: int = Protocol.STATIC,
    ) -> None:
        """The route to `destination` (None: default), in place of one with the same metric.

        `family` (4 or 6) is needed for a default route without `via` only. `onlink`: `via` is
        on the link though no prefix says so.
        """
        request = encode.new_route(
            destination,
            link=link,
            via=via,
            metric=metric,
            family=family,
            onlink=onlink,
            protocol=protocol,
        )
        with _cannot(f"add route {destination or 'default'}"):
            await self._rtnl.put(request, _PUT)

    async def delete_route(
        self,
        destination: IPNetwork | None,
        *,
        link: int,
        via: IPAddress | None = None,
        metric: int | None = None,
        family: int | None = None,
    ) -> None:
        request = encode.old_route(destination, link=link, via=via, metric=metric, family=family)
        gone = (errno.ESRCH, errno.ENODEV)
        with _cannot(f"delete route {destination or 'default'}", unless=gone):
            await self._rtnl.delete(request)

    async def refuse_route(
        self, destination: IPNetwork, *, protocol: int = Protocol.STATIC
    ) -> None:
        """An unreachable route: whoever sends there is told, unless a longer prefix leads on."""
        with _cannot(f"refuse {destination}"):
            await self._rtnl.put(encode.refused_route(destination, protocol=protocol), _PUT)

    async def admit_route(self, destination: IPNetwork, *, protocol: int = Protocol.STATIC) -> None:
        """Take such a route away."""
        with _cannot(f"admit {destination}", unless=(errno.ESRCH,)):
            await self._rtnl.delete(encode.refused_route(destination, protocol=protocol))

    async def _get_link(self, request: Request, what: str) -> Link | None:
        payloads: list[bytes] = []
        with _cannot(f"look for link {what}", unless=(errno.ENODEV,)):
            payloads = await self._rtnl.get(request)
        return decode.decode_link(payloads[0]) if payloads else None

    async def _add(self, name: str, request: Request, what: str) -> None:
        """Links are born in our group and then marked: one left between the two is made again."""
        try:
            await self._rtnl.put(request, _NEW)
        except RefusedError as error:
            if error.errno != errno.EEXIST:
                raise NetlinkError(what, error.errno, error.reason) from None
        else:
            return
        await self._clear_the_way(name)
        with _cannot(what):
            await self._rtnl.put(request, _NEW)

    async def _clear_the_way(self, name: str) -> None:
        old = await self.link(name)
        if old is None:
            return
        if not old.half_made:
            raise _in_the_way(name, self.space, old)
        await self.delete_link(old.index)

    async def _mark(self, name: str, role: str) -> Link:
        for _ in range(2):
            with _cannot(f"mark link {name}"):
                await self._rtnl.put(encode.marked_link(name, role))
            link = await self.link(name)
            if link is None:
                raise NetlinkError(f"mark link {name}", errno.ENODEV, "it is gone again")
            if link.role == role:
                return link
        raise NetlinkError(f"mark link {name}", errno.EBUSY, "somebody else marked it")

    async def _mark_peer(self, name: str, space: str, role: str) -> None:
        if space == self.space:
            await self._mark(name, role)
            return
        there = await Netlink.open(self._spaces, space)
        try:
            await there._mark(name, role)  # noqa: SLF001  # the same class
        finally:
            await there.close()


def _in_the_way(name: str, space: str, link: Link) -> NetlinkError:
    where = f"ip -n {space}" if space else "ip"
    if link.role is not None:
        return NetlinkError(f"add link {name}", errno.EEXIST, "we have made it already")
    return NetlinkError(
        f"add link {name}",
        errno.EEXIST,
        "a link of that name exists and is not ours",
        hint=f"look with: {where} -d link show {name}; remove or rename it",
    )


@contextmanager
def _cannot(what: str, *, unless: tuple[int, ...] = ()) -> Iterator[None]:
    """Say `cannot WHAT: reason` of a refusal, unless its errno means that it is done already."""
    try:
        yield
    except RefusedError as error:
        if error.errno not in unless:
            raise NetlinkError(what, error.errno, error.reason) from None
