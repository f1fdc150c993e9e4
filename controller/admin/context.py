"""The file that says which controller ncadm talks to; a module of its own, since msgspec costs 20 ms."""

import msgspec


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    controller: str = ""
    server_key: str = ""
    key: str = ""
