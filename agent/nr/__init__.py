"""Network resources: a namespace with a bridge and a way to the Internet by ndmz.

Of a network, with its WireGuard device (agent.overlay makes and keeps it):

    plan       (pure) names, what should be there, and the steps from what is there
    guard      (pure) its nftables text
    runner     `ResourceRunner`: makes it, repairs it, takes it away

Made by hand (`zosnet-agent nr`), without an overlay:

    local      (pure) what a person asked for: a name, ranges, workloads
    delegation (pure) which part of the site's delegated prefix is whose
    book       keeps that in STATE
    building   one in the kernel; `kernel` all of them, their ways out and their workloads
    keeper     `Resources`: what people ask for, and all of it kept true; `verbs` is its door
    status     what it says of itself; `report` makes that
"""
