"""Import a module of a package without running the package's own `__init__`.

    enter_package("pyroute2")
    from pyroute2.netlink import rtnl

pyroute2's `__init__` imports two databases of network state that nobody here uses: half of the
time and 6 of the 14 MiB that rtnetlink costs a daemon. Pure but for `sys.modules`.
"""

import importlib.util
import sys
from types import ModuleType


def enter_package(name: str) -> None:
    """Stand an empty package where `name` would be; none of it when it is imported already."""
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None:
        return  # imported, or not installed: the import says so better
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations or ())
    package.__spec__ = spec
    sys.modules[name] = package
