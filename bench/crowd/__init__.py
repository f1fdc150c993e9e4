"""Many nodes as one process, beside a controller that is a process of its own.

served       the controller, its CPU time and its memory, as the kernel counts them
members      nodes with keys of their own; their connections, all on one socket
yardstick    what figures are divided by: one signature, one bare CURVE handshake
enrolling, refreshing, telling, keeping    the figures
"""
