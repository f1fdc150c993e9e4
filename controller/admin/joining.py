"""A join string out of what the controller answers; a token's secret is added here."""

from typing import Any


def join_string(item: dict[str, Any], secret: bytes | None = None) -> str:
    """Without `secret` it is one for nodes that the controller knows already."""
    from protocol.joinstring import NO_TOKEN, JoinString, render_join_string
    from protocol.keys import CurvePublic, CurveSecret, VerifyKey

    curve = CurvePublic(bytes.fromhex(item["curve"]))
    return render_join_string(
        JoinString(
            root=VerifyKey(bytes.fromhex(item["root"])),
            token=NO_TOKEN if secret is None else CurveSecret(secret),
            controllers=tuple((endpoint, curve) for endpoint in item["controllers"]),
        )
    )
