"""Addresses that a person gives a NIC in agent.yaml, where no server gives any.

    config     what may stand under `static`, and what is refused; `Fixed`, what one link is to have
    keeper     has it on a link, for ever

The boot asks the gateways (agent.boot.reach) where else it asks a DHCP server, `dhcp zos` keeps
the addresses where else it keeps a lease, and ndmz's ends have theirs by agent.ndmz.static.
"""
