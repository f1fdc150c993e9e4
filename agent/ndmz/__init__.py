"""ndmz: the NAT namespace by which workloads reach the Internet and nothing near.

Pure, and to be read first:

    guard      what may pass, as nftables text: the heart of it; `counts` how many flows a workload may have
    policy     from addresses and routes to what the guard depends on, and which DNS servers
    plan       the links it is made of, and the steps that are missing; `told` them in words
    egress     which NIC carries it: that of `zos`, or one of its own in `br-pub`
    sharing    whether IPv4 goes through the host; `pair` the cable for it, `host_guard` the host's rules
    workload   one workload's place behind it; `cable` what leads there
    firewall   judges the host's other firewalls
    parts      the routes of a delegated prefix, and what they should be
    rdnss      DNS servers in router advertisements; `settings` the sysctls

With the kernel:

    runner     `Ndmz`: builds it and keeps it true, with the files beside it
    loader     the guard in the kernel; `plugging` a workload's cable
    br_pub     a NIC of its own is taken, and given back
    shared     IPv4 by way of the host, with `host_side`: its rules and settings there
    delegated  the prefix that the site delegates, asked for on npub6
    dns        which servers workloads are told
    npub4      the lease of its IPv4 end; `renew`: another LAN is behind zos
    traps      undoes what a hostile router made of its IPv6
    static     addresses of its ends out of the config
    sites      as whom controllers have seen this site, over restarts
    status     what `zosnet-agent status` is told; `report` makes it
"""
