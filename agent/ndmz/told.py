"""A step of the plan in words. Pure."""

from agent.ndmz.plan import (
    AddAddress,
    AddBridge,
    AddDefault,
    AddVeth,
    Blocked,
    DeleteLink,
    SetMtu,
    SetPort,
    SetUp,
    Step,
)


def tell(step: Step) -> str:
    match step:
        case AddBridge():
            return f"make the bridge {step.name}"
        case AddVeth():
            return f"make {step.name} and its other end {step.peer}"
        case SetPort():
            return f"make {step.name} a port of {step.master}"
        case SetUp():
            return f"bring {step.name} up"
        case SetMtu():
            return f"set the MTU of {step.name} to {step.mtu}"
        case AddAddress():
            return f"give {step.name} the address {step.interface}"
        case AddDefault():
            return f"route by {step.via} on {step.name}"
        case DeleteLink():
            return f"delete {step.name}"
        case Blocked():
            return f"leave {step.name}: {step.reason}"
