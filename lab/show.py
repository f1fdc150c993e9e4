"""A layout from power-on to what it promises: the demo's parts, on one site and n1.

    report = show_layout(farm, LAYOUTS["late-lan"], Progress(sys.stderr))

Where something is missing at first, the node's own words for it are waited for and shown before it
comes.
"""

from time import monotonic, sleep
from typing import Any

from lab import checks, demo, router
from lab.checks import Check, Views
from lab.farm import Farm
from lab.layouts import IPV6, Layout
from lab.progress import Progress
from lab.report import make_report
from lab.view import NodeView

SAYS_S = 30.0  # a round of the boot, and some
CARRIER_S = 20.0
ASK_EACH = 0.25


def show_layout(farm: Farm, layout: Layout, progress: Progress) -> dict[str, Any]:
    demo.prepare(farm, progress)
    hold_back(farm, layout)
    demo.power_on(farm, progress)
    found = await_words(farm, layout, progress) if layout.waits else []
    if not layout.comes_up:
        found += [nothing_is_made(farm, name) for name in layout.nodes]
        progress.finish()
        return make_report(demo.look_at_all(farm), (), found)
    let_come(farm, layout, progress)
    found.append(demo.converged(demo.watch(farm, progress)))
    views = await_carrier(farm, layout)
    progress.say("asking everybody: overlay pings, workloads, doors that must be closed")
    pairs = checks.ping_matrix(farm, views)
    found += [has_its_uplink(layout, views), has_its_carrier(layout, views)]
    found.append(has_its_families(layout, views))
    found += [checks.check_matrix(pairs, views), *checks.run_checks(farm, views)]
    progress.finish()
    return make_report(views, pairs, found)


# -- what is late


def hold_back(farm: Farm, layout: Layout) -> None:
    """Before power-on. A server that is late was not started by `build_farm`."""
    if layout.late == "cable":
        for name in layout.nodes:
            farm.nodes[name].pull_cable(layout.uplink)


def let_come(farm: Farm, layout: Layout, progress: Progress) -> None:
    match layout.late:
        case "server":
            server = farm.routers[layout.site.switch]
            router.serve_lan(server, layout.site.lan)
            router.await_dnsmasq(server)
            progress.say(f"the DHCP server on {server.name} serves")
        case "cable":
            for name in layout.nodes:
                farm.nodes[name].plug_cable(layout.uplink)
                progress.say(f"{name} has a cable in {layout.uplink}")
        case "":
            pass


def await_words(farm: Farm, layout: Layout, progress: Progress) -> list[Check]:
    """Each node of the site waits, and `why uplink` says for what."""
    deadline = monotonic() + SAYS_S
    found = []
    for name in layout.nodes:
        said = why_uplink(farm, name)
        while not (ok := layout.waits in said and "none yet" in said) and monotonic() < deadline:
            progress.show(demo.look_at_all(farm))
            sleep(ASK_EACH)
            said = why_uplink(farm, name)
        progress.say(f"{name} waits: {said}")
        found.append(Check(f"{name} waits for its network, and says what it lacks", ok, said))
    return found


def why_uplink(farm: Farm, name: str) -> str:
    """The first line of it: what there is, or what is missing."""
    lines = farm.nodes[name].output("zosnet-agent", "why", "uplink").splitlines()
    return lines[0].removeprefix("uplink").strip()


def nothing_is_made(farm: Farm, name: str) -> Check:
    """Neither bridge nor address: it can begin anew at any moment."""
    links = farm.nodes[name].output("ip", "-brief", "link", "show").split()
    made = [link for link in ("zos", "ndz4", "ndz6") if link in links]
    return Check(
        f"{name} has made nothing of a network that leads nowhere", not made, " ".join(made)
    )


# -- what it promises


def await_carrier(farm: Farm, layout: Layout) -> Views:
    """Which NICs have public addresses is known later than that the node has a way out."""
    deadline = monotonic() + CARRIER_S
    while True:
        views = demo.await_ipv6(farm)
        ok = has_its_carrier(layout, views).ok and has_its_families(layout, views).ok
        if ok or monotonic() > deadline:
            return views
        sleep(ASK_EACH)


def has_its_uplink(layout: Layout, views: Views) -> Check:
    wrong = [n for n in layout.nodes if not _is_promised(layout, views[n])]
    said = "; ".join(f"{name}: {_spoken(views[name])}" for name in layout.nodes)
    return Check(f"the uplink is {layout.uplink}, {layout.address_class}", not wrong, said)


def _is_promised(layout: Layout, view: NodeView) -> bool:
    """Where both families are, IPv6 may have been the reason: a lease can be late on a busy machine."""
    uplink = view.boot.uplink
    if uplink is None or uplink.nic != layout.uplink:
        return False
    six = 6 in layout.families and uplink.address_class == IPV6
    return uplink.address_class == layout.address_class or six


def has_its_carrier(layout: Layout, views: Views) -> Check:
    carriers = {name: views[name].daemon.carrier for name in layout.nodes}
    ok = all(carrier.nic == layout.carrier for carrier in carriers.values())
    said = "; ".join(f"{name}: {carrier.reason}" for name, carrier in carriers.items())
    where = f"NIC {layout.carrier} of its own" if layout.carrier else "zos"
    return Check(f"ndmz is on {where}", ok, said)


def _spoken(view: NodeView) -> str:
    uplink = view.boot.uplink
    return f"{uplink.nic}, {uplink.reason}" if uplink else "none"


def has_its_families(layout: Layout, views: Views) -> Check:
    has = {name: families(views[name]) for name in layout.nodes}
    wanted = " and ".join(f"IPv{family}" for family in layout.families)
    said = "; ".join(
        f"{name}: {', '.join(views[name].ndmz.addresses) or 'no address'}" for name in has
    )
    ok = all(found == layout.families for found in has.values())
    return Check(f"ndmz has {wanted}, as the site has it", ok, said)


def families(view: NodeView) -> tuple[int, ...]:
    ready = ((4, view.ndmz.ready4), (6, view.ndmz.ready6))
    return tuple(family for family, there in ready if there)
