"""Completion knows the names that the controller knows."""

from pathlib import Path

from tests.controller.farm import Controller, running


def complete(one: Controller, *words: str) -> list[str]:
    *before, last = words
    done = one.ncadm_at(words=["__complete", *before, "--socket", str(one.socket), last])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[1:]


def test_networks_members_and_tokens_are_completed_by_name(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        home = one.network("home", desc="where we live")
        one.network("house", ipv4="10.8.0.0/16")
        one.node(home, "n1").enrol(home)
        one.token("house")

        assert complete(one, "network", "show", "h") == ["home\twhere we live", "house\t"]
        assert complete(one, "member", "show", "home", "n") == ["n1\tauthorized"]
        assert complete(one, "member", "show", "house", "n") == []
        tokens = complete(one, "token", "show", "")
        assert sorted(line.split("\t")[1] for line in tokens) == ["home, used up", "house, live"]
        one.stop()
        nobody = one.ncadm_at(
            words=["__complete", "network", "show", "--socket", str(one.socket), "h"]
        )
    assert nobody.returncode == 6
