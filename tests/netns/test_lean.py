"""What the short way into a package saves, in fresh interpreters."""

import subprocess
import sys


def loaded_by(first: str) -> set[str]:
    code = f"import sys\nfrom netns.lean import enter_package\n{first}\nfrom netns import rtnl\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_rtnetlink_comes_without_the_databases_of_its_package() -> None:
    assert "pyroute2.ndb" in loaded_by("")  # the control: its own way in
    loaded = loaded_by("enter_package('pyroute2')")

    assert "pyroute2.netlink.rtnl" in loaded
    assert {"pyroute2.ndb", "pyroute2.ipdb", "sqlite3"} & loaded == set()


def test_a_package_that_is_imported_already_stays_as_it_is() -> None:
    assert "pyroute2.ndb" in loaded_by("import pyroute2\nenter_package('pyroute2')")
