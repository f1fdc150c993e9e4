"""Which kind of WireGuard device this machine gets: the kernel's if it has them, else wireguard-go's."""

from netns.spaces import HOST, Spaces
from netns.wireguard.backend import WireGuardBackend
from netns.wireguard.kernel import Kernel, is_there
from netns.wireguard.userspace import Userspace


async def choose_backend(spaces: Spaces) -> WireGuardBackend:
    return Kernel(spaces) if await spaces.run(HOST, is_there) else Userspace(spaces)
