"""Members that are in already: what a refresh costs the controller.

A network is filled, then a few of its members connect and refresh, all at once, round after round; each
has one request under way and a connection of its own. One signature is measured between the rounds.

not modified       they hold what the controller has; said hello, so changes would be pushed to them
bare exchange      as many bytes, there and back, by a libzmq ROUTER and nothing else
new certificate    each brings a new WireGuard key: its row written, its certificate signed anew
                   and sent, after the commit. Nobody watches: pushes are not part of it
"""

import time
from collections.abc import Sequence

from msgspec.structs import replace

from bench.crowd.enrolling import SETTLED, Stopwatch, enrol
from bench.crowd.members import Crowd, Member, make_members
from bench.crowd.served import Controller, serving
from bench.crowd.yardstick import Signature, bare_server
from protocol.keys import new_wireguard_pair
from protocol.messages import Joined, Unchanged, Welcome
from protocol.signed import read_unverified
from protocol.statements import Membership, NetworkState

CONNECTED = 256
ROUNDS = 12  # as many as a member may ask for at once


def refreshes(members_in_network: int) -> tuple[float, float]:
    """(not modified, new certificate), in signatures."""
    with serving() as controller:
        members = make_members([controller.network("home")], members_in_network)
        enrol(controller, members)
        some = members[:CONNECTED]
        with Crowd(controller.endpoint, controller.curve) as crowd:
            crowd.connect((member.label, member.secret) for member in some)
            fresh = new_certificates(controller, crowd, some)
        with Crowd(controller.endpoint, controller.curve) as crowd:
            crowd.connect((member.label, member.secret) for member in some)
            crowd.ask(Welcome, [(member.label, member.hello()) for member in some])
            return unchanged(controller, crowd, some), fresh


def unchanged(controller: Controller, crowd: Crowd, members: Sequence[Member]) -> float:
    holding = current(crowd, members)
    signature, used = Signature(), 0.0
    crowd.ask(Unchanged, holding)
    for _ in range(ROUNDS):
        signature.measure()
        watch = Stopwatch(controller)
        crowd.ask(Unchanged, holding)
        used += watch.lap()
    return used / ROUNDS / len(members) / signature.us


def bare_exchange() -> float:
    """What a refresh cannot do without, in signatures."""
    with bare_server() as (process, endpoint, key), Crowd(endpoint, key) as crowd:
        members = make_members(["0" * 16], CONNECTED)
        crowd.connect((member.label, member.secret) for member in members)
        signature, used = Signature(), 0.0
        frames = [(member.label, member.refresh()) for member in members]
        for _ in range(ROUNDS):
            signature.measure()
            time.sleep(SETTLED)
            begun = process.cpu_us()
            for label, frame in frames:
                crowd.send(label, frame)
            for _ in frames:
                crowd.receive()
            time.sleep(SETTLED)
            used += process.cpu_us() - begun
    return used / ROUNDS / CONNECTED / signature.us


def new_certificates(controller: Controller, crowd: Crowd, members: Sequence[Member]) -> float:
    signature, used = Signature(), 0.0
    for _ in range(ROUNDS):
        renewed = [
            (member.label, replace(member, wireguard=bytes(new_wireguard_pair()[0])).refresh())
            for member in members
        ]
        signature.measure()
        watch = Stopwatch(controller)
        crowd.ask(Joined, renewed)
        used += watch.lap()
    return used / ROUNDS / len(members) / signature.us


def current(crowd: Crowd, members: Sequence[Member]) -> list[tuple[bytes, bytes]]:
    """Refreshes of members that hold all that there is."""
    joined = crowd.ask(Joined, [(member.label, member.join()) for member in members])
    head = max(reply.revision for reply in joined.values())
    questions = []
    for member in members:
        reply = joined[member.label]
        serial = read_unverified(reply.membership, Membership).serial
        epoch = read_unverified(reply.state, NetworkState).epoch
        refresh = member.refresh(serial=serial, epoch=epoch, revision=head)
        questions.append((member.label, refresh))
    return questions
