"""The examples of docs/protocol.md, made by the programs' own code.

python -m tests.protocol.documented      writes them into the document
"""

import re
from ipaddress import ip_interface, ip_network
from pathlib import Path

import msgspec

from protocol import messages as m
from protocol import statements as s
from protocol.joinstring import JoinString, render_join_string
from protocol.keys import CurvePublic, CurveSecret, SigningSeed, verify_key
from protocol.packing import pack_interface, pack_network
from protocol.signed import Signer

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
_BLOCK = re.compile(r"```example ([\w? -]+)\n(.*?)```", re.DOTALL)
WIDTH = 48

NETWORK = "0123456789000001"
TIME = 1_700_000_000_000


def key(number: int) -> bytes:
    return bytes([number]) * 32


ROOT, SIGNER = Signer(SigningSeed(key(1))), Signer(SigningSeed(key(4)))
KEYSET = s.Keyset(
    version=1,
    number=1,
    signers=(bytes(SIGNER.key),),
    controllers=(s.ControllerEntry(key(3), ("tcp://192.0.2.1:9930",)),),
    issued_at=TIME,
)
MEMBERSHIP = s.Membership(
    version=1,
    network=NETWORK,
    node=key(5),
    wireguard=key(6),
    addresses=(
        pack_interface(ip_interface("10.9.0.7/16")),
        pack_interface(ip_interface("fd00:9::7/64")),
    ),
    prefixes=(),
    roles=(),
    relays=(),
    serial=1,
    issued_at=TIME,
    not_after=0,
    via=key(8),
)
STATE = s.NetworkState(
    version=1,
    network=NETWORK,
    incarnation=1,
    epoch=2,
    least=0,
    floors=(s.Floor(key(7), 3),),
    issued_at=TIME,
)
SETTINGS = m.Settings(
    name="home",
    ranges=(pack_network(ip_network("10.9.0.0/16")), pack_network(ip_network("fd00:9::/64"))),
    routes=(),
    dns=(),
    mtu=0,
    topology="mesh",
)
ENDPOINTS, FAMILIES, PORT = ("198.51.100.7:51820",), (4,), 51820
ROW = m.Row(SIGNER.seal(MEMBERSHIP), "n1", "00000000aa", ENDPOINTS, FAMILIES)

STATEMENTS = {"Keyset": ROOT.seal(KEYSET)} | {
    type(one).__name__: SIGNER.seal(one) for one in (MEMBERSHIP, STATE)
}
MESSAGES = (
    m.Admit(1, key(5), "n1", "0.1.0", "Debian 12"),
    m.Hello(1, 1, "n1", "0.1.0", "Debian 12", generation=1, keyset=0),
    m.Join(2, NETWORK, key(6), ENDPOINTS, FAMILIES, PORT),
    m.Refresh(3, NETWORK, key(6), ENDPOINTS, FAMILIES, PORT, 1, 1, 2, 9),
    m.Leave(4, NETWORK),
    m.FetchRows(5, NETWORK, 0),
    m.Mint(6, NETWORK, key(9), uses=5, ttl_ms=3_600_000),
    m.Rotate(7, key(10)),
    m.Ack(NETWORK, 9),
    m.AckKeys(1),
    m.Ping(0),
    m.Done(1),
    m.Welcome(1, TIME, "00000000aa", STATEMENTS["Keyset"], (NETWORK,), "198.51.100.7"),
    m.Joined(2, NETWORK, TIME, SETTINGS, ROW.membership, STATEMENTS["NetworkState"], 9),
    m.Waiting(2, NETWORK, "pending", 30.0),
    m.Unchanged(3, NETWORK, TIME),
    m.Rows(5, NETWORK, 0, 9, full=True, rows=(ROW,), gone=(), state=STATEMENTS["NetworkState"]),
    m.Keys(0, STATEMENTS["Keyset"]),
    m.Minted(6, NETWORK, TIME + 3_600_000, (("tcp://192.0.2.1:9930", key(3)),)),
    m.Pong(0, TIME),
    m.Refused(2, m.Code.BUSY, "cannot answer now: too many requests", retry_after=1.0),
)
PARTS = (s.ControllerEntry, s.Floor, m.Settings, m.Row)
JOIN = JoinString(
    verify_key(SigningSeed(key(1))),
    CurveSecret(key(2)),
    (("tcp://192.0.2.1:9930", CurvePublic(key(3))),),
)


def tag(message: type[msgspec.Struct]) -> str:
    return str(message.__struct_config__.tag)


def examples() -> dict[str, str]:
    """Heading: text of its example."""
    found = {"join string": _folded(render_join_string(JOIN))}
    found |= {tag(type(one)): _hex(m.encode(one)) for one in MESSAGES}
    for name, signed in STATEMENTS.items():
        parts = (
            ("payload", signed.payload),
            ("signer", signed.signer),
            ("signature", signed.signature),
        )
        found[name] = "\n".join(f"{part}:\n{_hex(data)}" for part, data in parts)
    return found


def written() -> dict[str, str]:
    """Heading: text of the example that stands in the document."""
    return {name: text.strip() for name, text in _BLOCK.findall(DOCUMENT.read_text())}


def tables() -> dict[str, list[str]]:
    """Heading: the fields of its first table."""
    sections = re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: [
            line.split("|")[1].strip()
            for line in re.split(r"\n\n", section.partition("| field |")[2])[0].splitlines()[2:]
        ]
        for section in sections
    }


def write() -> None:
    made = examples()
    text = _BLOCK.sub(
        lambda block: f"```example {block[1]}\n{made[block[1]]}\n```", DOCUMENT.read_text()
    )
    DOCUMENT.write_text(text)


def _hex(data: bytes) -> str:
    return _folded(data.hex(), 2 * WIDTH)


def _folded(text: str, width: int = 96) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


if __name__ == "__main__":
    write()
