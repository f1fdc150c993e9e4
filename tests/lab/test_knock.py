"""The question program and its answers: a closed door is told from a silent one."""

import pytest

from lab.farm import FARM, Farm, build_farm
from lab.internet import WEB4, WEB6, await_answering, start_answering
from lab.knock import knock
from lab.world import World

pytestmark = pytest.mark.lab


@pytest.fixture
def farm(world: World) -> Farm:
    return build_farm(world)


def test_an_open_door_answers_with_whom_it_saw(farm: Farm) -> None:
    host = farm.controller
    answers = knock(
        host,
        [
            f"icmp/{WEB4}",
            f"icmp/{WEB6}",
            f"tcp/{WEB4}/7",
            f"udp/{WEB6}/7",
            "http4/web.example",
            "http6/web.example",
            "icmp6/web.example",
        ],
        seconds=5,
    )
    seen = {target: answer.detail.split()[0] for target, answer in answers.items()}

    assert {answer.verdict for answer in answers.values()} == {"answer"}
    assert seen["http4/web.example"] == "203.0.113.10"
    assert seen["http6/web.example"] == "2001:db8:ffff::10"
    assert seen[f"tcp/{WEB4}/7"] == "203.0.113.10"
    assert seen[f"udp/{WEB6}/7"] == "2001:db8:ffff::10"


def test_a_closed_door_refuses_and_a_missing_host_is_silent(farm: Farm) -> None:
    private = FARM.neighbours[1].addresses[0].ip
    answers = knock(
        farm.routers["lan-b"],
        [
            f"tcp/{private}/81",
            f"udp/{private}/81",
            f"tcp/{private}/7",
            "icmp/192.168.7.77",
            "tcp/192.168.7.77/7",
            "udp/192.168.7.77/7",
        ],
        seconds=2,
    )

    assert [answer.verdict for answer in answers.values()].count("refused") == 2
    assert answers[f"tcp/{private}/81"].verdict == "refused"
    assert answers[f"udp/{private}/81"].verdict == "refused"
    assert answers[f"tcp/{private}/7"].answered
    assert answers["icmp/192.168.7.77"].verdict == "silent"
    assert answers["tcp/192.168.7.77/7"].verdict == "silent"
    assert answers["udp/192.168.7.77/7"].verdict == "silent"


def test_a_question_can_be_asked_from_a_namespace_of_the_node(farm: Farm) -> None:
    node = farm.nodes["n1"]
    node.script("ip netns add inner; ip -n inner link set lo up")
    start_answering(node)
    await_answering(node)
    outer = knock(node, ["tcp/127.0.0.1/7"], seconds=5)
    inner = knock(node, ["tcp/127.0.0.1/7"], namespace="inner", seconds=5)

    assert inner["tcp/127.0.0.1/7"].verdict == "refused"
    assert outer["tcp/127.0.0.1/7"].answered
