from agent.ndmz.solicit import encode_solicitation
from tests.lab.frames import checksum


def test_the_frame_is_a_valid_solicitation_from_nobody_to_all_routers() -> None:
    frame = encode_solicitation("02:11:22:33:44:55")
    header, message = frame[14:54], frame[54:]
    pseudo = header[8:40] + len(message).to_bytes(4) + (58).to_bytes(4)

    assert frame[:14].hex(":") == "33:33:00:00:00:02:02:11:22:33:44:55:86:dd"
    assert header[7] == 255
    assert header[8:24] == bytes(16)
    assert message[0] == 133
    assert len(message) == 8
    assert checksum(pseudo + message) == 0
