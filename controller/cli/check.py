"""`zosnet-controller check`: is the database sound, do the audit chains fit, do the keys belong?"""

import argparse

from controller import audit, config
from controller.database import Lock
from controller.opening import open_registry
from runtime.failure import CannotError, Exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config)
    if not settings.database.exists():
        raise CannotError(
            f"cannot check: there is no controller in {settings.directory}",
            hint="make one with: zosnet-controller init --endpoint tcp://ADDRESS:9930",
            code=Exit.USAGE,
        )
    lock = Lock(settings.directory)
    try:
        registry = open_registry(settings)
        with registry.connection.begin():
            whole = registry.connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars()
            found = [line for line in whole.all() if line != "ok"]
            keys = registry.connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            found += [f"a row of {row[0]} belongs to no row of {row[2]}" for row in keys]
            broken = audit.verify(registry.connection)
        registry.connection.close()
    finally:
        lock.release()
    if broken:
        found.append(f"audit log: {broken}")
    for problem in found:
        print(problem)
    if found:
        return Exit.PROBLEMS
    print(f"{settings.database} is sound")
    return Exit.OK
