"""`zosnet-agent key`: this node's public key, for `ncadm member add`; made when there is none yet."""

import argparse

from runtime.cli import add_output, print_items
from runtime.failure import Exit

EXAMPLES = ("zosnet-agent key",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    from agent.identity import load_identity
    from runtime.cli import require_root

    require_root("read this node's key")
    identity = load_identity()
    item = {"node": identity.node_id, "key": identity.public.hex()}
    if arguments.output == "table":
        print(item["key"])
    else:
        print_items("key", [item], {"key": "key"}, output=arguments.output)
    return Exit.OK
