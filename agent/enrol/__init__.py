"""Admission: how a node comes to belong to networks, and the connection it keeps.

machine   (pure) one farm: token → admitted → own key → hello → join → refresh, for ever
networks  (pure) what is asked about each network, on that connection
session   the ZeroMQ socket under it
store     join strings, farms and WireGuard keys on the disk
endpoints (pure) where others can reach this node, and what it can send to
farm      one farm: machine, session and store together
report    (pure) a farm as status is told of it
turning   its own keys while one gives way to another
surface   what a farm needs of the node around it
runner    `Enrolment`: all farms of the node, join and leave
status    what `zosnet-agent status` is told
"""
