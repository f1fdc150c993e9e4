"""What this node's ndmz is to be: from its key and its config, without what depends on the site."""

from agent.boot.recover import BR_PUB
from agent.config import AgentConfig
from agent.identity import Identity
from agent.ndmz.guard import UPLINK4, UPLINK6
from agent.ndmz.plan import Wanted


def wanted_of(identity: Identity, config: AgentConfig) -> Wanted:
    return Wanted(
        ula=next(identity.ula.subnets(new_prefix=64)),
        mac4=identity.mac(UPLINK4),
        mac4_pub=identity.mac(f"{UPLINK4} {BR_PUB}"),
        mac6=identity.mac(UPLINK6),
        mac_inside=identity.mac("tonrs"),
        ipv6=config.ndmz.ipv6 != "off",
        own4=config.ndmz.ipv4 != "shared",
    )
