"""A farm on one machine: the demo, the tests and the benches stand on it.

init       PID 1 of worlds and nodes: the namespaces and mounts that make a machine
world      a piece of this machine that is gone when its owner is; `node` a machine in it
host       run programs in either; `wiring` their network cards and switches, `cable` a long one
router     a site's router with real dnsmasq and nftables; `internet` the pretend Internet
farm       the farm as data, and how it is built; `layouts` others by name
demo       the farm from power-on to the overlay: `programs` starts what a person would start,
           `view` reads the nodes' status files, `progress` shows them, `checks` and `tamper`
           ask what must hold (by `knock`, which runs `ask` on the nodes), `report` tells it
record     a farm that lives on in the background, for `zosnet-lab exec|status|down`
"""
