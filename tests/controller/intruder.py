"""Somebody who tries to get in and may not, as fast as told: a process of its own.

python -m tests.controller.intruder ENDPOINT SERVER_KEY TOKEN_SECRET NODE_KEY

Reads "go" and "stop" lines; tries while it goes: handshakes with keys that nobody knows, and
`admit` for a node that is banned, over a token's connection. Prints how often it
tried the one and the other, at each stop.
"""

import select
import sys

import zmq

from protocol.keys import CurveSecret, curve_public, new_curve_pair, to_z85
from protocol.messages import Admit, encode

STRANGERS = 2  # handshakes at a time
ADMITS = 16  # for each stranger


def connect(
    context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, server: bytes, secret: CurveSecret
) -> "zmq.Socket[bytes]":
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.curve_serverkey = to_z85(server)
    dealer.curve_publickey = to_z85(curve_public(secret))
    dealer.curve_secretkey = to_z85(secret)
    dealer.connect(endpoint)
    return dealer


def try_strangers(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, server: bytes) -> int:
    """How many were refused."""
    tried = []
    for _ in range(STRANGERS):
        dealer = connect(context, endpoint, server, new_curve_pair()[1])
        tried.append((dealer, dealer.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)))
    refused = sum(bool(monitor.poll(1000)) for _, monitor in tried)
    for dealer, monitor in tried:
        dealer.disable_monitor()
        monitor.close()
        dealer.close()
    return refused


def main(endpoint: str, server: bytes, token: CurveSecret, node: bytes) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    line = connect(context, endpoint, server, token)
    frame = encode(Admit(1, node, "x", "", ""))
    line.send(frame)
    line.poll(5000)  # the connection stands
    print("ready", flush=True)
    strangers, admits, going = 0, 0, False
    while True:
        if not going or select.select([sys.stdin], [], [], 0)[0]:
            word = sys.stdin.readline().strip()
            if not word:
                break
            going = word == "go"
            if not going:
                print(strangers, admits, flush=True)
            continue
        strangers += try_strangers(context, endpoint, server)
        for _ in range(STRANGERS * ADMITS):
            try:
                line.send(frame, zmq.NOBLOCK)
                admits += 1
            except zmq.Again:
                break
        while line.poll(0):
            line.recv()
    line.close()
    context.term()


if __name__ == "__main__":
    server, secret, key = map(bytes.fromhex, sys.argv[2:])
    main(sys.argv[1], server, CurveSecret(secret), key)
