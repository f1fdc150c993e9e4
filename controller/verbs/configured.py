"""The networks of controller.yaml: made when they are missing, changed to what their keys say.

They are infrastructure: nobody can delete or rename them. A key that the file does not name stays as
`ncadm network set` left it; ranges count only when a network is made. A network that the file does not
name any more is one like others; an imported one stays infrastructure until the file has named it.
"""

import logging
from collections.abc import Sequence

import msgspec

from controller.config import NetworkConfig
from controller.settings import Wanted, check_owner, columns_of
from controller.store.records import Network
from controller.verbs.network import Create, make, ranges_of, store
from controller.verbs.office import Office

log = logging.getLogger(__name__)

IMPORTED = "import "  # how the `request` of an imported network begins


def ensure_networks(office: Office, wanted: Sequence[NetworkConfig]) -> None:
    """Raises CannotError."""
    known = {network.name: network for network in office.registry.networks.values()}
    damaged = {network.name for network in office.registry.seals.networks.values()}
    for one in wanted:
        network = known.get(one.name)
        if one.name in damaged:
            continue  # the log says so
        if network is None:
            make(office, _create(one), infrastructure=True)
        else:
            _keep(office, network, one)
    named = {one.name for one in wanted}
    for network in known.values():
        if network.infrastructure and network.name not in named and not is_imported(network):
            # one that the file names later may get this one's name, when it has another by then
            request = f"{network.number:06x} plain"
            plain = msgspec.structs.replace(network, infrastructure=False, request=request)
            store(office, plain, "network.set", {"infrastructure": False})


def is_imported(network: Network) -> bool:
    """And controller.yaml has never named it."""
    return network.request.startswith(IMPORTED)


def _create(one: NetworkConfig) -> Create:
    keys = {name: getattr(one, name) for name in Wanted.__struct_fields__}
    return Create(
        id=_request(one),
        name=one.name,
        ipv4=one.ipv4,
        ipv6=one.ipv6,
        owner=one.owner,
        **keys,
    )


def _request(one: NetworkConfig) -> str:
    return f"config {one.name}"


def _keep(office: Office, network: Network, one: NetworkConfig) -> None:
    values = columns_of(one) | {"infrastructure": True}
    if is_imported(network):
        values["request"] = _request(one)
    if one.owner:
        values["owner"] = check_owner(one.owner)
    changes = {name: value for name, value in values.items() if getattr(network, name) != value}
    if changes:
        store(office, msgspec.structs.replace(network, **changes), "network.set", changes)
    has = {pool.range for pool in office.registry.book.pools(network.number)}
    missing = [str(range_) for range_ in ranges_of(one) if range_ not in has]
    if missing:
        log.warning(
            "a network keeps the ranges that it was made with",
            extra={"network": network.name, "missing": ",".join(missing)},
        )
