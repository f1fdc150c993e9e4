"""WireGuard devices: what one should be, how to get there, and the two kinds of device that Linux has.

device      (pure) a device as a value, the difference of two, what is wrong with one
backend     the interface that kernel and userspace devices share
kernel      devices of the kernel; `genl` (pure) is what it is asked, and its answers
userspace   devices by wireguard-go; `uapi` is the text on its unix socket
choice      the kernel's where it has them, else wireguard-go's
"""
