"""A network resource that was made by hand, as `nr` and `status` tell it."""

from agent.nr.kernel import Kernel
from agent.nr.local import Attached, Local
from agent.nr.status import ResourceStatus, WorkloadStatus


def describe(local: Local, kernel: Kernel) -> ResourceStatus:
    problem, place = kernel.problems.get(local.name), kernel.outside.get(local.name)
    return ResourceStatus(
        name=local.name,
        state="failing" if problem is not None else "up",
        namespace=local.space,
        bridge=local.bridge,
        ipv4=local.ipv4,
        ipv6=local.ipv6,
        delegated=local.delegated,
        gateways=[str(gateway.ip) for gateway in local.gateways],
        outside=[str(place.ip4.ip), str(place.ip6.ip)] if place is not None else [],
        mtu=kernel.mtu,
        workloads=[_describe_workload(workload, kernel) for workload in local.workloads],
        problem=problem.message if problem is not None else "",
        hint=(problem.hint or "") if problem is not None else "",
    )


def _describe_workload(workload: Attached, kernel: Kernel) -> WorkloadStatus:
    problem = kernel.loose.get(workload.namespace)
    state = "absent" if workload.namespace in kernel.absent else "failing" if problem else "up"
    return WorkloadStatus(
        namespace=workload.namespace,
        link=workload.link,
        addresses=[*workload.addresses],
        state=state,
        problem=problem.message if problem is not None else "",
    )
