"""Completion knows the networks and peers of this node."""

from msgspec.structs import replace

from agent.cli.names import known
from runtime.completion import Candidate
from tests.agent.test_explain import BLUE, GOOD, HOME, N3, daemon


def test_networks_and_topics_are_completed_by_name() -> None:
    networks = [one.word for one in known("NETWORK", GOOD)]
    topics = [one.word for one in known("TOPIC", GOOD)]

    assert networks == [HOME.name]
    assert {"uplink", "ndmz", HOME.name, N3.name} <= set(topics)
    assert known("SECONDS", GOOD) == []


def test_network_resources_are_completed_with_their_range() -> None:
    facts = replace(GOOD, daemon=daemon(resources=[BLUE]))

    assert known("RESOURCE", facts) == [Candidate("blue", "10.1.1.0/24")]
    assert "blue" in [one.word for one in known("TOPIC", facts)]
