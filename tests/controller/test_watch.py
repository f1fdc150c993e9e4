"""`ncadm watch`: everything that happens, once, in order, also over a restart of the controller."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.verbs.watch import RUN
from protocol.admin import Failed, Result
from runtime.failure import Exit
from tests.controller.farm import TREE, Controller, running, wait_for
from tests.controller.house import House
from tests.controller.test_cli import said


def look(house: House, after: str, **more: Any) -> Result:
    reply = house.call("watch", after=after, **more)
    assert isinstance(reply, Result), reply
    return reply


def words(page: Result) -> list[str]:
    return [item["event"] for item in page.items]


def test_now_is_behind_everything_that_was(house: House) -> None:
    home = house.network()
    house.enrol(home)
    now = look(house, "")

    assert now.items == []
    assert look(house, now.next).items == []


def test_what_happens_is_told_once_and_in_order(house: House) -> None:
    home = house.network()
    cursor = look(house, "").next
    house.enrol(home, name="n1")
    house.later(1)
    house.do("member.ban", network="home", member="n1")
    page = look(house, cursor)

    assert words(page) == [
        "token.create",
        "node.admit",
        "member.join",
        "node.connected",  # in the same millisecond
        "node.disconnected",  # its session was ended, as of when it was last heard
        "member.banned",
    ]
    connected = page.items[3]
    assert connected["detail"] == "n1 from 198.51.100.7"
    assert (connected["seq"], page.items[5]["seq"]) == (None, 5)
    assert look(house, page.next).items == []


def test_small_pages_have_everything_once(house: House) -> None:
    home = house.network()
    for n in range(6):
        house.enrol(home, name=f"n{n}")
        house.later(1)
    whole = look(house, "0").items
    cursor, found = "0", []
    while True:
        page = look(house, cursor, limit=5)
        if not page.items:
            break
        found += page.items
        cursor = page.next

    assert len(whole) == 1 + 6 * 4
    assert found == whole
    assert [item["time"] for item in found] == sorted(item["time"] for item in found)


def test_a_clock_that_went_back_loses_nothing(house: House) -> None:
    cursor = look(house, "").next
    house.network("one")
    house.now_ms -= 3_600_000
    house.enrol(house.network("two", ipv4="10.8.0.0/16"))
    found = []
    for _ in range(9):
        page = look(house, cursor, limit=1)
        found += words(page)
        cursor = page.next

    assert sorted(found) == sorted(words(look(house, "0")))
    assert len(found) == 6


def test_a_row_of_the_audit_log_is_a_place_to_begin(house: House) -> None:
    home = house.network()
    house.enrol(home, name="n1")
    house.later(60)
    guest = house.enrol(home, name="n2")
    house.later(1)
    house.leave(guest, home)
    begun = look(house, "7")  # behind member.join of n2

    assert words(begun)[:1] == ["node.connected"]
    assert "member.leave" in words(begun)
    assert begun.items[0]["detail"].startswith("n2 ")
    assert "member.leave" not in words(look(house, "99"))


def test_after_a_restart_the_audit_log_goes_on_and_the_new_run_is_told_whole(house: House) -> None:
    home = house.network()
    guest = house.enrol(home)
    cursor = look(house, "").next
    house.reopen()
    house.hello(guest)
    other = cursor.replace(RUN, "00000000")  # the process is the same one in this test

    assert words(look(house, other)) == ["node.connected"]


@pytest.mark.parametrize("after", ["x", "-1", "1.2", "1.zz.1", "1" * 30, "0.00000000.-1"])
def test_a_place_that_is_none_is_refused(house: House, after: str) -> None:
    reply = house.call("watch", after=after)

    assert isinstance(reply, Failed)
    assert reply.code == Exit.USAGE


# as processes


@contextmanager
def watching(one: Controller, *options: str) -> Iterator["subprocess.Popen[str]"]:
    argv = [sys.executable, "-m", "controller.admin", "watch", "--socket", str(one.socket)]
    with subprocess.Popen(
        [*argv, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TREE
    ) as watch:
        try:
            yield watch
        finally:
            watch.kill()


def read_until(watch: "subprocess.Popen[str]", event: str) -> list[dict[str, Any]]:
    assert watch.stdout is not None
    found = []
    for line in watch.stdout:
        found.append(json.loads(line)["item"])
        if found[-1]["event"] == event:
            return found
    raise AssertionError(f"no {event}: {found}")


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with running(tmp_path) as one:
        one.network("home")
        yield one


def test_events_are_told_when_they_happen_and_over_a_restart(controller: Controller) -> None:
    with watching(controller, "-o", "jsonl", "--since", "0") as watch:
        first = read_until(watch, "network.create")
        controller.network("second")
        second = read_until(watch, "network.create")
        controller.kill()
        controller.start()
        controller.network("third")
        third = read_until(watch, "network.create")
        watch.kill()
        assert watch.stderr is not None
        complaint = watch.stderr.read()

    assert [item["seq"] for item in first + second + third] == [1, 2, 3]
    assert complaint.endswith("; trying again\nit answers again\n")


def test_a_table_is_a_line_each_and_once_is_once(controller: Controller) -> None:
    home = controller.network("home")
    controller.node(home).enrol(home)
    shown = controller.ncadm("watch", "--since", "1", "--once")

    assert said(shown, 0) == ""
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [line[1] for line in lines] == [
        "token.create",
        "node.admit",
        "node.connected",
        "member.join",
    ]
    assert lines[2][-3:] == ["n1", "from", "127.0.0.1"]


def test_what_is_no_row_is_refused_before_anybody_is_asked(controller: Controller) -> None:
    assert "no row's number" in said(controller.ncadm("watch", "--since", "now"), Exit.USAGE)
    os.kill(controller.pid, 19)
    try:
        assert "no row's number" in said(controller.ncadm("watch", "--since", "-"), Exit.USAGE)
    finally:
        os.kill(controller.pid, 18)


def test_a_hundred_who_wait_hold_nobody_up(controller: Controller) -> None:
    import argparse

    from controller.admin.client import Line
    from protocol.admin import Call, encode_admin

    arguments = argparse.Namespace(socket=controller.socket)
    lines = [Line(arguments) for _ in range(100)]
    for line in lines:
        line.__enter__()
    try:
        cursor = lines[0].ask("watch", {}).next
        for line in lines:
            line._door.send(encode_admin(Call(1, "watch", {"after": cursor, "wait": 20})))
        wait_for(lambda: controller.ask("status"))
        controller.network("second")
        answers = [line._door.receive(15.0) for line in lines]
    finally:
        for line in lines:
            line.__exit__()

    assert sum(b"network.create" in answer for answer in answers) >= 60
