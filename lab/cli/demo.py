"""`zosnet-lab demo`: the farm, or a node in one kind of network, from power-on to the overlay; exit 0
only if everything holds.
"""

import argparse
import sys
from pathlib import Path
from tempfile import mkdtemp

from lab import record, report
from lab.cli.up import require_tools
from lab.demo import run_demo
from lab.farm import FARM, build_farm
from lab.layouts import LAYOUTS
from lab.progress import Progress
from lab.show import show_layout
from lab.world import World
from runtime.cli import require_tool, table
from runtime.failure import CannotError, Exit

TUN = Path("/dev/net/tun")


LIST = "list"
EXAMPLES = (
    "zosnet-lab demo",
    "zosnet-lab demo --keep",
    "zosnet-lab demo --report r.json",
    "zosnet-lab demo --layout list",
    "zosnet-lab demo --layout nat44",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layout",
        choices=(LIST, *LAYOUTS),
        metavar="NAME",
        help="a node in a network of that kind instead of the farm; list: which there are",
    )
    parser.add_argument("--keep", action="store_true", help="leave the farm up at the end")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a JSON report")
    parser.add_argument("--name", default="farm", help="its name when it is kept (default: farm)")
    parser.add_argument("--capture", action="store_true", help="record what passes each switch")


def run(arguments: argparse.Namespace) -> int:
    if arguments.layout == LIST:
        print(
            table([[layout.name, layout.shows] for layout in LAYOUTS.values()], ["name", "shows"])
        )
        return Exit.OK
    layout = LAYOUTS.get(arguments.layout or "")
    require_tools()
    require_tool("wireguard-go", package="wireguard-go", what="show the overlay")
    require_tun()
    record.refuse_second(arguments.name)
    progress = Progress(sys.stderr)
    with World(arguments.name, capture=arguments.capture) as world:
        try:
            farm = build_farm(world, layout.plan if layout else FARM)
            progress.say(f"a farm of {len(farm.machines)} machines is up")
            told = show_layout(farm, layout, progress) if layout else run_demo(farm, progress)
        except CannotError:
            progress.finish()
            keep_logs(world)
            raise
        print(report.render(told))
        if arguments.report:
            report.write(arguments.report, told)
        if not told["ok"]:
            keep_logs(world)
        if arguments.keep:
            record.keep(farm)
            say_how_to_use(arguments.name)
    return Exit.OK if told["ok"] else Exit.PROBLEMS


def require_tun() -> None:
    if not TUN.is_char_device():
        raise CannotError(
            f"cannot show the overlay: there is no {TUN}",
            hint="modprobe tun; in a container, pass the device in",
            code=Exit.USAGE,
        )


def keep_logs(world: World) -> None:
    target = Path(mkdtemp(prefix="zosnet-lab-"))
    world.save_logs(target)
    print(f"what its programs said is in {target}", file=sys.stderr)


def say_how_to_use(name: str) -> None:
    named = "" if name == "farm" else f" --name {name}"
    print(
        f"\nthe farm is still up. Try: zosnet-lab exec{named} n2 zosnet-agent status"
        f"\nand end it with: zosnet-lab down{named}",
        file=sys.stderr,
    )
