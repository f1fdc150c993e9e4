"""The schema's keys (pure).

    parse("zt1:network:8056c2e21c000001:~")      NetworkKey("8056c2e21c000001")
    str(NetworkKey("8056c2e21c000001"))          the same again

Whoever holds a document checks `Document`: each key with the value of its kind.
"""

import difflib
import re
from dataclasses import dataclass

VERSION_KEY = "zt1"
VERSION = "1"

Hash = dict[str, str]
Document = dict[str, Hash | str]


@dataclass(frozen=True, slots=True)
class VersionKey:
    def __str__(self) -> str:
        return VERSION_KEY


@dataclass(frozen=True, slots=True)
class UserKey:
    id: str  # auth:authUserId

    def __str__(self) -> str:
        return f"zt1:user:{self.id}:~"


@dataclass(frozen=True, slots=True)
class NetworkKey:
    network: str

    def __str__(self) -> str:
        return f"zt1:network:{self.network}:~"


@dataclass(frozen=True, slots=True)
class AssignmentsKey:
    network: str

    def __str__(self) -> str:
        return f"zt1:network:{self.network}:ipAssignments"


@dataclass(frozen=True, slots=True)
class MemberKey:
    network: str
    address: str

    def __str__(self) -> str:
        return f"zt1:network:{self.network}:member:{self.address}:~"


Key = VersionKey | UserKey | NetworkKey | AssignmentsKey | MemberKey

_USER = re.compile(r"zt1:user:([^:]+:.+):~\Z", re.DOTALL)
_NETWORK = re.compile(r"zt1:network:([^:]*):(?:(~)|(ipAssignments)|member:([^:]*):~)\Z")
_SHAPES = (
    "zt1",
    "zt1:user:<auth>:<authUserId>:~",
    "zt1:network:<nwid>:~",
    "zt1:network:<nwid>:ipAssignments",
    "zt1:network:<nwid>:member:<address>:~",
)


def parse(text: str) -> Key:
    """Raises ValueError; ids are looked at by whoever reads the record."""
    if text == VERSION_KEY:
        return VersionKey()
    if user := _USER.match(text):
        return UserKey(user[1])
    if found := _NETWORK.match(text):
        if found[2]:
            return NetworkKey(found[1])
        return AssignmentsKey(found[1]) if found[3] else MemberKey(found[1], found[4])
    near = difflib.get_close_matches(text, _SHAPES, 1, cutoff=0.3) or _SHAPES
    raise ValueError(f"{text!r} is no key of the schema, such as {near[0]}")
