"""The overlay of a node: whom it believes, whom it speaks to and how, and that it works.

netmap   (pure) the members of a network by revision, as the controller tells them
verify   (pure) which of them are believed, and what each may carry
newest   (pure) that no certificate takes the place of a newer one
peers    (pure) the WireGuard peers that follow: direct or through a transit, who begins
kick     (pure) the start of one pair, until the first handshake
echo     (pure) ICMP echo packets, and when to send one to whom
cache    what survives a reboot: netmap, keys, learnt endpoints
reach    the sockets that ask peers for an echo
network  one network kept true: namespace, device, peers
runner   `Overlay`: all networks of the node
status   what `zosnet-agent status` is told
"""
