"""The program on the node, `zosnet-agent`: from power-on to a place in the overlay.

The way through a boot, which is also the order to read in:

    boot/     `internet`: every NIC probed in a namespace of its own, the uplink chosen, `zos` made
    dhcp/     the DHCPv4 client, used by the probe, by `zosnet-agent dhcp zos` and by ndmz
    ndmz/     the NAT namespace with the guard that keeps workloads off the LAN
    enrol/    admission by the controller, and the connection that is kept to it
    overlay/  which peers are believed, which of them a device gets, who begins a handshake
    nr/       network resources: the namespace, bridge and WireGuard device of one network, and
              those without one that people make (`zosnet-agent nr`)
    doctor/   whether the machine can be a node at all, found out by trying
    networkd  (module) the daemon in which the last four live together
    cli/      one command a file
"""
