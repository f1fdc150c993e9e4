"""The root key away from the controller: what it is still asked for, and how; each misuse."""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from controller.signing.keyring import read_key
from controller.verbs.dispatch import answer
from protocol.admin import Call, decode_answer, encode_admin
from protocol.keys import SigningSeed, new_curve_pair
from protocol.signed import Signer, read_unverified
from protocol.statements import Keyset
from runtime.failure import Exit
from tests.controller.farm import Controller, running, wait_for
from tests.controller.house import House


def test_the_root_key_is_handed_to_nobody_from_afar(house: House) -> None:
    public = new_curve_pair()[0].hex()
    frame = encode_admin(Call(7, "key.take-root", {"public": public}))

    def code(actor: str) -> int:
        reply = decode_answer(answer(house.office, frame, house.now_ms, house.now, actor=actor))
        return int(getattr(reply, "code", 0))

    assert (code("local root"), code("admin carol")) == (0, Exit.DENIED)


def test_an_offline_root_key_signs_what_the_controller_asks_for(tmp_path: Path) -> None:
    """offline-root → rotate → export → sign → import, as people type it, with each misuse."""
    with running(tmp_path) as controller:
        network = controller.network()
        node = controller.node(network).enrol(network)
        root, request, signed = tmp_path / "root", tmp_path / "request", tmp_path / "signed"
        taken = controller.ncadm("key", "offline-root", str(root), "--yes")
        assert taken.returncode == 0, taken.stderr

        assert not (controller.data / "keys" / "root").exists()
        assert root.stat().st_mode & 0o777 == 0o600
        assert controller.ask("key.show")[0]["root_key"] == "offline"
        again = controller.ncadm("key", "offline-root", str(tmp_path / "other"), "--yes")
        assert (again.returncode, (tmp_path / "other").exists()) == (Exit.CONFLICT, False)

        asked = controller.ncadm("key", "rotate")
        assert asked.returncode == 0, asked.stderr
        assert "the root key must sign first" in asked.stderr
        request.write_text(controller.ncadm("key", "export").stdout)
        early = controller.ncadm("key", "import", str(request))
        assert (early.returncode, "nobody has signed" in early.stderr) == (Exit.USAGE, True)
        controller.kill()  # it goes on without a root key, and forgets nothing
        controller.start()
        done = sign(controller, root, request)
        assert done.returncode == 0, done.stderr
        assert "keyset 2 of controller" in done.stderr
        signed.write_text(done.stdout)
        imported = controller.ncadm("key", "import", str(signed))
        assert imported.returncode == 0, imported.stderr
        assert controller.ncadm("key", "import", str(signed)).returncode == 0  # twice is once
        wait_for(lambda: controller.ask("key.show")[0]["rotation"] == "old signer believed")

        node.close()
        node.hello()
        node.refresh(network)
        assert node.keyset == 2
        assert len(node.keys) == 2

        for text, code, said in misuses(controller, done.stdout, root):
            wrong = tmp_path / "wrong"
            wrong.write_text(text)
            refused = controller.ncadm("key", "import", str(wrong))
            assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
        assert controller.ask("key.show")[0]["keyset"] == 2
    secret = bytes.fromhex(root.read_text())
    for path in controller.data.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
            assert secret.hex().encode() not in path.read_bytes()


def sign(controller: Controller, root: Path, request: Path) -> Any:
    words = ("sign", "--root-key", str(root), str(request))
    return subprocess.run(
        [sys.executable, "-m", "controller", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def misuses(controller: Controller, good: str, root: Path) -> list[tuple[str, Exit, str]]:
    """What somebody may bring to `key import`, and what is said."""
    paper = msgspec.json.decode(good.encode())
    payload, signer, signature = paper["keyset"]
    keyset = msgspec.msgpack.decode(base64.b64decode(payload), type=Keyset)
    owner = Signer(SigningSeed(read_key(root)))

    def sealed(by: Signer, **fields: Any) -> str:
        one = by.seal(msgspec.structs.replace(keyset, **fields))
        return msgspec.json.encode(paper | {"keyset": one}).decode()

    cut = good[: len(good) // 2]
    flipped = payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB")
    return [
        ("", Exit.USAGE, "it is empty"),
        (cut, Exit.USAGE, "no keyset file"),
        ("noise", Exit.USAGE, "no keyset file"),
        (good.replace(paper["root"], "A" * 43 + "="), Exit.VERIFICATION, "that of this controller"),
        (
            msgspec.json.encode(paper | {"keyset": [flipped, signer, signature]}).decode(),
            Exit.VERIFICATION,
            "cannot import this keyset",
        ),
        (sealed(Signer(SigningSeed(b"x" * 32)), number=9), Exit.VERIFICATION, "we do not know"),
        (sealed(owner, number=1), Exit.CONFLICT, "it has number 1, and 2 is in force"),
        (sealed(owner, number=3, signers=(b"s" * 32,)), Exit.CONFLICT, "not name the signer"),
        (sealed(owner, number=3, controllers=()), Exit.CONFLICT, "not name the connection key"),
    ]


def test_what_the_signing_machine_is_given_must_fit(tmp_path: Path) -> None:
    with running(tmp_path) as controller:
        root, request = tmp_path / "root", tmp_path / "request"
        assert controller.ncadm("key", "offline-root", str(root), "--yes").returncode == 0
        controller.ncadm("key", "rotate")
        request.write_text(controller.ncadm("key", "export").stdout)
    good = sign(controller, root, request)
    assert good.returncode == 0  # the control: no controller runs, no database is asked
    other = tmp_path / "other"
    other.write_text((b"x" * 32).hex())
    other.chmod(0o600)
    wide = tmp_path / "wide"
    wide.write_bytes(root.read_bytes())
    wide.chmod(0o644)
    signed = tmp_path / "signed"
    signed.write_text(good.stdout)
    table = [
        (other, request, Exit.CONFLICT, "it is for controller"),
        (wide, request, Exit.USAGE, "others may read it"),  # S12
        (tmp_path / "nothing", request, Exit.USAGE, "cannot read the key"),
        (root, tmp_path / "nothing", Exit.USAGE, "cannot read"),
        (root, signed, Exit.USAGE, "it is signed already"),
        (root, root, Exit.USAGE, "it is no keyset file"),
    ]
    for key, paper, code, said in table:
        refused = sign(controller, key, paper)

        assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
        assert said in refused.stderr
        assert "hint" in refused.stderr


def test_new_endpoints_wait_for_an_offline_root_key(tmp_path: Path) -> None:
    with running(tmp_path) as controller:
        root = tmp_path / "root"
        assert controller.ncadm("key", "offline-root", str(root), "--yes").returncode == 0
        controller.stop()
        second = f"tcp://127.0.0.2:{controller.port}"
        config = controller.config.read_text()
        controller.config.write_text(f"{config}endpoints: ['{controller.endpoint}', '{second}']\n")
        controller.start()
        assert controller.ask("key.show")[0]["waiting"] == 2
        request, signed = tmp_path / "request", tmp_path / "signed"
        request.write_text(controller.ncadm("key", "export").stdout)
        signed.write_text(sign(controller, root, request).stdout)
        assert controller.ncadm("key", "import", str(signed)).returncode == 0
        network = controller.network()
        node = controller.node(network).enrol(network)

        assert node.welcome is not None
        keyset = read_unverified(node.welcome.keyset, Keyset)
        assert keyset.controllers[0].endpoints == (controller.endpoint, second)
