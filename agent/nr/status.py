"""What network resources that were made by hand say of themselves: light, for status files and commands."""

import msgspec


class WorkloadStatus(msgspec.Struct, kw_only=True):
    """`state`: up | absent (there is no such namespace) | failing."""

    namespace: str
    link: str
    addresses: list[str]
    state: str
    problem: str = ""


class ResourceStatus(msgspec.Struct, kw_only=True):
    """`state`: up | failing; what fails stands in `problem`."""

    name: str
    state: str
    namespace: str
    bridge: str
    ipv4: str = ""
    ipv6: str = ""
    delegated: bool = False  # `ipv6` is a part of the site's delegated prefix, while there is one
    gateways: list[str] = []  # of workloads
    outside: list[str] = []  # as ndmz knows it; empty: there is no way out yet
    mtu: int = 0
    workloads: list[WorkloadStatus] = []
    problem: str = ""
    hint: str = ""
