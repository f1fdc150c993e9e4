"""WireGuard devices: what one should be, how to get there, and the two kinds of device that Linux has.

device      (pure) a device as a value, the difference of two, what is wrong with one
uapi        the text that wireguard-go speaks on its unix socket
backend     the interface that kernel and userspace devices share
userspace   devices by wireguard-go
"""
