"""ndmz: the NAT namespace by which workloads reach the Internet and nothing near.

Pure, and to be read first:

    guard      what may pass, as nftables text: the heart of it
    policy     from addresses and routes to what the guard depends on, and which DNS servers
    plan       the links it is made of, and the steps that are missing
    workload   one workload's place behind it; `firewall` judges the host's other firewalls
    rdnss      DNS servers in router advertisements; `settings` the sysctls

With the kernel:

    runner     `Ndmz`: builds it and keeps it true, with the files beside it
    status     what `zosnet-agent status` is told
"""
