"""`zosnet-agent uninstall`: stop the services and take their units away; what they made stays."""

import argparse

from runtime.failure import Exit


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    pass


def run(_arguments: argparse.Namespace) -> int:
    from agent.services import remove_services
    from runtime.cli import require_root

    require_root("uninstall zosnet")
    said = remove_services()
    print("\n".join(said) or "no unit of zosnet was here")
    if said:
        print("what they made is still there; take it away with: zosnet-agent reset")
    return Exit.OK
