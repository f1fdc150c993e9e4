"""`ncadm status`"""

import argparse

from controller.admin.client import add_common, ask
from runtime.cli import print_items

COLUMNS = {
    "controller": "controller",
    "endpoints": "endpoints",
    "networks": "networks",
    "members": "members",
    "joined": "joined",
    "online": "online",
    "strangers": "refused",
    "rss_mib": "rss MiB",
}


EXAMPLES = ("ncadm status", "ncadm status -o json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    print_items("status", ask(arguments, "status", {}), COLUMNS, output=arguments.output)
    return 0
