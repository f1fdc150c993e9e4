"""What a node needs for its steps, each beside its floor or its peers.

observer    moments that the kernel tells: links up, addresses and routes there
exchange    DHCP by hand, with nothing around it: the floor
leases      link up → address, of 1 to 16 NICs, and of other clients
uplink      power-on → a default route, and both families in ndmz
flows       what the guard costs a packet
sender      (program) datagrams and streams through it
"""
