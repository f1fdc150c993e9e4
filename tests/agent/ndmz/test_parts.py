"""Routes of the delegated prefix: what is missing, and what is of another time."""

from ipaddress import IPv6Address, IPv6Network

from msgspec.structs import replace

from agent.ndmz.parts import METRIC, Parts, diff_parts
from agent.ndmz.workload import Attachment, place_of
from netns.values import Protocol, Route, View
from tests.agent.ndmz.test_cable import link

PREFIX, PART = IPv6Network("2001:db8:b:10::/60"), IPv6Network("2001:db8:b:11::/64")
OLD = IPv6Network("2001:db8:b:20::/60")
TONRS = 4
BLUE = replace(place_of(9, "n-blue", IPv6Network("fd12::/64"), "02:00:00:00:00:09"), subnet=PART)
VIA = IPv6Address("fd12::9")


def route(to: IPv6Network, via: IPv6Address | None, *, by: int = Protocol.DHCP) -> Route:
    at = TONRS if via is not None else None
    return Route(destination=to, family=6, via=via, link=at, metric=METRIC, protocol=by)


def view(*routes: Route, refused: tuple[Route, ...] = ()) -> View:
    return View(
        links={"tonrs": link(TONRS, "tonrs", "tonrs")},
        addresses=(),
        routes=routes,
        generation=0,
        sysctls={},
        refused=refused,
    )


WHOLE = view(route(PART, VIA), refused=(route(PREFIX, None),))


def diff(there: View, prefix: IPv6Network | None = PREFIX, *places: Attachment) -> Parts:
    return diff_parts(prefix, places or (BLUE,), there)


def test_a_part_leads_to_its_workload_and_the_rest_nowhere() -> None:
    assert diff(view()) == Parts(add=((PART, VIA),), refuse=(PREFIX,))


def test_when_it_is_so_nothing_is_to_do() -> None:
    assert diff(WHOLE) == Parts()


def test_a_part_that_leads_elsewhere_is_led_back() -> None:
    there = view(route(PART, IPv6Address("fd12::8")), refused=(route(PREFIX, None),))

    assert diff(there) == Parts(add=((PART, VIA),))


def test_without_a_prefix_all_of_it_goes() -> None:
    assert diff(WHOLE, None) == Parts(admit=(PREFIX,), delete=(PART,))


def test_what_is_of_the_prefix_before_goes_and_is_not_made_again() -> None:
    new = diff(WHOLE, OLD)

    assert new == Parts(refuse=(OLD,), admit=(PREFIX,), delete=(PART,))


def test_a_prefix_that_is_one_part_leads_to_its_workload_whole() -> None:
    only = replace(BLUE, subnet=PART)
    refused = view(refused=(route(PART, None),))

    assert diff(view(), PART, only) == Parts(add=((PART, VIA),))
    # the route that is added takes the place of the one that refuses
    assert diff(refused, PART, only) == Parts(add=((PART, VIA),))


def test_routes_of_others_are_left_alone() -> None:
    others = (route(OLD, None, by=Protocol.STATIC),)

    assert diff(view(route(PART, VIA), refused=(*others, route(PREFIX, None)))) == Parts()


def test_without_tonrs_there_is_nobody_to_lead_to() -> None:
    assert diff(replace(WHOLE, links={})) == Parts()
