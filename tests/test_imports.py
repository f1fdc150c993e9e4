"""What each package and each quick command may load, seen in a fresh interpreter.

import-linter holds our own code to its contracts; this holds what the libraries bring along.
"""

import importlib.util
import subprocess
import sys

import pytest

DATABASE = {"sqlmodel", "sqlalchemy"}  # pyroute2 loads sqlite3


def loaded_after(code: str) -> set[str]:
    """The names in sys.modules after `code` ran in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n', *sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("\n ")[2].split())


def import_all_of(package: str) -> str:
    return (
        "import importlib, pkgutil\n"
        f"package = importlib.import_module({package!r})\n"
        "for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    if not found.name.endswith('.__main__'):\n"
        "        importlib.import_module(found.name)\n"
    )


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("agent", DATABASE),
        ("netns", DATABASE),
        ("zinit", DATABASE),
        ("protocol", DATABASE),
        ("lab", DATABASE),
        ("runtime", DATABASE | {"asyncio", "zmq", "pyroute2", "yaml"}),
        ("controller.admin", DATABASE),
        ("zinit", {"asyncio", "pyroute2", "yaml"}),
        ("protocol", {"asyncio", "pyroute2", "zmq", "yaml"}),
    ],
)
def test_a_package_loads_nothing_that_it_must_not_know(package: str, forbidden: set[str]) -> None:
    loaded = loaded_after(import_all_of(package))

    assert package in loaded  # the positive control
    assert forbidden & loaded == set()


def agent_with(*words: str) -> str:
    return (
        "import contextlib, sys\n"
        "from agent.__main__ import main\n"
        f"sys.argv = ['zosnet-agent', *{words}]\n"
        "with contextlib.suppress(SystemExit): main()\n"
    )


def test_the_agents_help_loads_neither_asyncio_nor_pyroute2_nor_any_verb() -> None:
    loaded = loaded_after(agent_with("--help"))
    heavy = {"asyncio", "pyroute2", "zmq", "nacl", "yaml", "msgspec", "logging", "inspect"}

    assert "runtime.cli" in loaded  # the positive control
    assert heavy & loaded == set()
    assert not any(name.startswith("agent.cli.") for name in loaded)


@pytest.mark.parametrize("verb", ["status", "wait"])
def test_what_a_supervisor_polls_loads_neither_asyncio_nor_pyroute2(verb: str) -> None:
    module = f"agent.cli.{verb}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"there is no {module}")
    loaded = loaded_after(agent_with(verb, "--help"))

    assert module in loaded  # the positive control
    assert {"asyncio", "pyroute2", "zmq", "nacl", "yaml"} & loaded == set()
