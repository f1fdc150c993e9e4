"""The boot, minutes of it in a millisecond."""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.boot.machine import (
    ROUTER_WINDOW,
    SETTLE,
    Commit,
    Committed,
    Machine,
    Preferences,
    Quit,
    Rest,
    Resting,
    Solicit,
)

HOME = IPv4Interface("192.168.1.5/24")
PUBLIC = IPv4Interface("198.51.100.5/24")
GATEWAY = IPv4Address("192.168.1.1")
GLOBAL = (IPv6Interface("2001:db8::5/64"),)
ROUTER6 = IPv6Address("fe80::1")
PREFERENCES = Preferences(grace=2.0, carrier_window=6.0, dhcp_window=10.0)


def started(*nics: str, preferences: Preferences = PREFERENCES) -> Machine:
    """A machine at time 0, whose back-off has no jitter."""
    machine = Machine(nics, preferences, jitter=lambda: 0.5)
    machine.start(0)
    return machine


def committed(machine: Machine) -> str | None:
    """The NIC that the machine has chosen, if it has."""
    if not isinstance(machine.state, Committed) or machine.state.choice.uplink is None:
        return None
    return machine.state.choice.uplink.name


def sleep_until_done(machine: Machine, limit: float) -> float:
    """Let time pass, without events, until the machine commits; returns when."""
    now = 0.0
    while machine.deadline is not None:
        now = machine.deadline
        assert now <= limit, "the machine waits too long"
        machine.wake(now)
    return now


def test_the_only_nic_is_taken_the_moment_it_has_a_lease() -> None:
    machine = started("eth0")
    machine.carrier("eth0", True, 0.01)
    machine.leased("eth0", HOME, GATEWAY, 0.02)

    assert machine.actions() == [Solicit("eth0"), Commit(machine.choice())]
    assert committed(machine) == "eth0"
    assert machine.deadline is None


def test_a_router_advertisement_that_comes_first_lets_dhcp_catch_up() -> None:
    machine = started("eth0")
    machine.carrier("eth0", True, 0)
    machine.routed("eth0", GLOBAL, ROUTER6, 0.001)

    assert committed(machine) is None
    assert machine.deadline == SETTLE

    machine.leased("eth0", HOME, GATEWAY, 0.007)

    assert committed(machine) == "eth0"
    assert str(machine.choice().ranking[0].address_class) == "RFC1918 IPv4"


def test_ipv6_alone_is_enough_when_dhcp_is_silent_or_refuses() -> None:
    silent = started("eth0")
    silent.carrier("eth0", True, 0)
    silent.routed("eth0", GLOBAL, ROUTER6, 0.02)
    refused = started("eth0")
    refused.carrier("eth0", True, 0)
    refused.refused("eth0", "no offer", 0.01)
    refused.routed("eth0", GLOBAL, ROUTER6, 0.02)

    assert sleep_until_done(silent, 1) == SETTLE
    assert committed(silent) == "eth0"
    assert committed(refused) == "eth0"


def test_another_nic_with_a_cable_gets_the_grace() -> None:
    machine = started("eth0", "eth1")
    machine.carrier("eth0", True, 0)
    machine.carrier("eth1", True, 0)
    machine.leased("eth0", HOME, GATEWAY, 0.1)

    assert committed(machine) is None
    assert sleep_until_done(machine, 5) == pytest.approx(2.1)
    assert committed(machine) == "eth0"


def test_within_the_grace_a_better_nic_wins() -> None:
    machine = started("public", "home")
    machine.carrier("public", True, 0)
    machine.carrier("home", True, 0)
    machine.leased("public", PUBLIC, GATEWAY, 0.1)
    machine.leased("home", HOME, GATEWAY, 1.9)

    assert committed(machine) == "home"


def test_nobody_waits_for_a_nic_that_has_finished() -> None:
    machine = started("eth0", "eth1")
    machine.carrier("eth0", True, 0)
    machine.carrier("eth1", True, 0)
    machine.leased("eth0", HOME, GATEWAY, ROUTER_WINDOW)
    machine.refused("eth1", "no offer", ROUTER_WINDOW + 0.1)

    assert committed(machine) == "eth0"


def test_a_nic_without_a_cable_costs_nothing_when_it_could_be_no_better() -> None:
    private, pinned = started("eth0", "eth1"), started("eth0", preferences=Preferences(pin="eth1"))
    pinned.appeared("eth1", 0)
    for machine in (private, pinned):
        machine.carrier("eth0", True, 0)
        machine.leased("eth0", HOME, GATEWAY, 0.1)

    assert committed(private) == "eth0"
    assert sleep_until_done(pinned, 5) == pytest.approx(2.1)


def test_a_nic_that_has_had_its_answer_costs_nothing_when_ipv6_makes_it_no_better() -> None:
    machine, rival = started("eth0", "eth1"), started("eth0", "eth1")
    for one, gateway in ((machine, None), (rival, GATEWAY)):
        one.carrier("eth0", True, 0)
        one.carrier("eth1", True, 0)
        one.leased("eth1", IPv4Interface("192.168.9.9/24"), gateway, 0.1)
        one.leased("eth0", HOME, GATEWAY, 0.1)

    assert committed(machine) == "eth0"
    assert committed(rival) is None  # with IPv6 too eth1 would go first


def test_it_costs_the_grace_only_while_the_carrier_window_is_open() -> None:
    early, late = started("eth0", "eth1"), started("eth0", "eth1")
    early.carrier("eth0", True, 0)
    early.leased("eth0", PUBLIC, GATEWAY, 0.1)
    late.carrier("eth0", True, 0)
    late.wake(6.5)
    late.leased("eth0", PUBLIC, GATEWAY, 6.5)

    assert sleep_until_done(early, 5) == pytest.approx(2.1)
    assert committed(late) == "eth0"


def test_a_pinned_nic_waits_for_nobody_and_is_waited_for() -> None:
    preferences = Preferences(pin="eth1")
    pinned = started("eth0", "eth1", preferences=preferences)
    pinned.carrier("eth0", True, 0)
    pinned.carrier("eth1", True, 0)
    pinned.leased("eth1", PUBLIC, GATEWAY, 0.1)
    other = started("eth0", "eth1", preferences=preferences)
    other.carrier("eth0", True, 0)
    other.leased("eth0", HOME, GATEWAY, 0.1)

    assert committed(pinned) == "eth1"
    assert committed(other) is None


def test_a_usable_nic_whose_cable_is_pulled_is_not_taken() -> None:
    machine = started("eth0", "eth1")
    machine.carrier("eth0", True, 0)
    machine.carrier("eth1", True, 0)
    machine.leased("eth0", HOME, GATEWAY, 0.1)
    machine.carrier("eth0", False, 0.2)
    machine.leased("eth0", HOME, GATEWAY, 0.3)  # said before it was pulled, heard after
    machine.leased("eth1", PUBLIC, GATEWAY, 3)

    assert Quit("eth0") in machine.actions()
    assert sleep_until_done(machine, 10) == pytest.approx(5)
    assert committed(machine) == "eth1"


def test_rounds_go_on_for_ever_with_a_growing_pause() -> None:
    machine = started("eth0", "eth1")
    machine.carrier("eth0", True, 0)
    pauses = []
    for _ in range(40):
        while not isinstance(machine.state, Resting):
            assert machine.deadline is not None
            machine.wake(machine.deadline)
        began = machine.deadline
        rest = next(a for a in machine.actions() if isinstance(a, Rest))
        pauses.append(rest.until)
        assert began == rest.until
        machine.wake(rest.until)

    lengths = [b - a - 10 for a, b in zip([0.0, *pauses], pauses, strict=False)]
    assert lengths[:7] == pytest.approx([2, 4, 8, 16, 32, 60, 60])
    assert lengths[-1] == pytest.approx(60)
    assert machine.round == 41


def test_the_pause_is_jittered_by_a_fifth() -> None:
    def pause(jitter: float) -> float:
        machine = Machine(["eth0"], PREFERENCES, jitter=lambda: jitter)
        machine.start(0)
        machine.wake(6)
        assert machine.deadline is not None
        return machine.deadline - 6

    assert [pause(0), pause(0.5), pause(1)] == pytest.approx([1.6, 2.0, 2.4])


def test_a_cable_plugged_while_resting_is_probed_at_once() -> None:
    machine = started("eth0")
    machine.wake(6)

    assert isinstance(machine.state, Resting)

    machine.actions()
    machine.carrier("eth0", True, 7)
    machine.leased("eth0", HOME, GATEWAY, 7.01)

    assert machine.actions()[0] == Solicit("eth0")
    assert committed(machine) == "eth0"


def test_a_router_that_comes_while_resting_is_taken_at_once() -> None:
    machine = started("eth0")
    machine.carrier("eth0", True, 0)
    machine.refused("eth0", "no offer", 1)
    machine.wake(ROUTER_WINDOW)

    assert isinstance(machine.state, Resting)

    machine.routed("eth0", GLOBAL, ROUTER6, 5)

    assert committed(machine) == "eth0"


def test_each_round_solicits_every_nic_that_has_a_cable() -> None:
    machine = started("eth0", "eth1", "eth2")
    machine.carrier("eth0", True, 0)
    machine.carrier("eth2", True, 0)
    for name in ("eth0", "eth2"):
        machine.refused(name, "no offer", 1)
    machine.wake(6)
    machine.actions()
    machine.wake(8)

    assert machine.actions() == [Solicit("eth0"), Solicit("eth2")]


def test_a_gateway_that_dhcp_names_only_in_the_second_round_is_enough() -> None:
    machine = started("eth0")
    machine.carrier("eth0", True, 0)
    machine.leased("eth0", HOME, None, 0.1)
    machine.wake(6)
    machine.wake(8)
    machine.leased("eth0", HOME, GATEWAY, 8.1)

    assert committed(machine) == "eth0"


def test_a_nic_that_appears_late_is_waited_for_and_taken() -> None:
    machine = started()

    assert isinstance(machine.state, Resting)

    machine.appeared("eth0", 1)
    machine.carrier("eth0", True, 3)
    machine.leased("eth0", HOME, GATEWAY, 3.1)

    assert committed(machine) == "eth0"


def test_a_nic_that_cannot_be_probed_holds_nobody_up() -> None:
    machine = started("eth0", "wlan0")
    machine.barred("wlan0", "cannot be moved", 0)
    machine.carrier("wlan0", True, 0)
    machine.carrier("eth0", True, 0)
    machine.leased("eth0", HOME, GATEWAY, 0.1)

    assert committed(machine) == "eth0"
    assert machine.choice().ranking[1].reason == "cannot be moved"


def test_a_nic_that_vanishes_holds_nobody_up() -> None:
    machine = started("eth0", "usb0")
    machine.carrier("eth0", True, 0)
    machine.leased("eth0", PUBLIC, GATEWAY, 0.1)

    assert committed(machine) is None

    machine.vanished("usb0", 0.2)

    assert committed(machine) == "eth0"


NICS = ("eth0", "eth1")
LONGEST = 72.0  # the longest pause with its jitter
event = st.tuples(
    st.sampled_from(["up", "down", "lease", "refuse", "router", "wake", "gone", "new"]),
    st.sampled_from(NICS),
    st.floats(0, 20),
)


@given(st.lists(event, max_size=40))
def test_whatever_comes_the_machine_wakes_later_or_has_chosen_a_usable_nic(
    events: list[tuple[str, str, float]],
) -> None:
    machine, now = started(*NICS), 0.0
    for kind, nic, pause in events:
        now += pause
        match kind:
            case "up" | "down":
                machine.carrier(nic, kind == "up", now)
            case "lease":
                machine.leased(nic, HOME, GATEWAY, now)
            case "refuse":
                machine.refused(nic, "no offer", now)
            case "router":
                machine.routed(nic, GLOBAL, ROUTER6, now)
            case "gone":
                machine.vanished(nic, now)
            case "new":
                machine.appeared(nic, now)
            case _:
                machine.wake(now)

        chosen = committed(machine)
        assert (machine.deadline is None) == (chosen is not None)
        if machine.deadline is not None:
            assert machine.deadline <= now + LONGEST

    assert sum(isinstance(a, Commit) for a in machine.actions()) == (committed(machine) is not None)


def test_a_nic_with_static_addresses_waits_for_its_gateway_and_says_so_over_a_pulled_cable() -> (
    None
):
    machine = started("eth0", preferences=replace(PREFERENCES, static={"eth0": (HOME,)}))
    for again in (0.0, 1.0):
        machine.carrier("eth0", True, again)

        assert machine.choice().ranking[0].reason == (
            "no answer from its gateway; no router advertisement"
        )

        machine.carrier("eth0", False, again + 0.5)
    machine.carrier("eth0", True, 2.0)
    machine.leased("eth0", HOME, GATEWAY, 2.1)

    assert machine.choice().ranking[0].reason == (
        "static RFC1918 IPv4 192.168.1.5/24 by 192.168.1.1, the only one usable"
    )
    assert committed(machine) == "eth0"
