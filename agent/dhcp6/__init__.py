"""The DHCPv6 client that asks for a prefix and for nothing else (IA_PD: RFC 8415).

Pure, and to be read first:

    delegation  a prefix that was delegated, as a value; the one client id of a node
    wire        messages to bytes and back, strict; which prefixes are nobody's to delegate
    state       what the machine does and where it is
    machine     what to send and when to wake, from messages and the time

With the kernel:

    port        the socket under it; `runner` drives one machine
    store       what was delegated, on disk, over restarts
    release     gives it back before its time
"""
