"""Bytes made hostile: what hypothesis does to frames that were good."""

from hypothesis import strategies as st

Edits = list[tuple[str, int, bytes]]

# heads of MessagePack that promise much: arrays, maps, strings and binaries of 2^32 - 1
GREEDY = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff")
ODD = (
    b"\xc6\xff\xff\xff\xff",
    b"\xc1",
    b"\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\xcf" + b"\xff" * 8,
    b"\xc0",
)

edits = st.lists(
    st.tuples(
        st.sampled_from(["put", "insert", "cut", "end", "repeat", "widen"]),
        st.integers(0, 100_000),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([*GREEDY, *ODD])),
    ),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, changes: Edits) -> bytes:
    """`data` after the changes; each place is taken round."""
    for what, place, new in changes:
        at = place % (len(data) + 1)
        match what:
            case "put":
                data = data[:at] + new + data[at + len(new) :]
            case "insert":
                data = data[:at] + new + data[at:]
            case "cut":
                data = data[:at] + data[at + len(new) :]
            case "end":
                data = data[:at]
            case "widen":  # a number below 128 in two bytes where one does
                data = data[:at] + b"\xcc" + data[at:]
            case _:
                data = data[:at] + data[at : at + 64] * (1 + place % 8) + data[at:]
    return data
