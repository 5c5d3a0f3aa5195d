"""A server's places in private networks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from localcloud.hetzner import addresses, catalog
from localcloud.hetzner.body import Address4, Body, Cidr4
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import limit_exceeded, refused
from localcloud.hetzner.model import Action, Network, Nic, Server, Undo
from localcloud.hetzner.networks import attached
from localcloud.hetzner.steps import rewire, step

MAC = "86:00:00:{:02x}:{:02x}:{:02x}"


class Attach(Body):
    network: int
    ip: Address4 | None = None
    ip_range: Cidr4 | None = None
    alias_ips: tuple[Address4, ...] = ()


class Detach(Body):
    network: int


class ChangeAliasIps(Body):
    network: int
    alias_ips: tuple[Address4, ...]


def new_nic(
    cloud: Cloud, server: Server, network: Network, ip: str | None, ip_range: str | None, aliases: Sequence[str]
) -> Nic:
    """A place for the server in the network; raises the provider's refusals."""
    if any(nic.network == network.id for nic in server.nics):
        raise refused("server_already_attached", f"server '{server.name}' is attached to '{network.name}' already")
    if len(server.nics) >= catalog.NETWORKS_ON_SERVER:
        raise limit_exceeded("networks of a server", catalog.NETWORKS_ON_SERVER)
    if len(attached(cloud, network)) >= catalog.SERVERS_IN_NETWORK:
        raise limit_exceeded("servers in a network", catalog.SERVERS_IN_NETWORK)
    _require_no_overlap(cloud, server, network)
    taken = _taken(cloud, network)
    zone = catalog.location_named(server.location).zone
    chosen = addresses.choose_ip(network, zone, taken, ip, ip_range)
    _require_aliases(network, {*taken, chosen}, aliases)
    return Nic(network=network.id, ip=chosen, alias_ips=tuple(aliases), mac=_mac(cloud.records.new_id()))


def _mac(number: int) -> str:
    return MAC.format(number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF)


def _require_no_overlap(cloud: Cloud, server: Server, network: Network) -> None:
    for nic in server.nics:
        other = cloud.records.get(Network, nic.network)
        if IPv4Network(other.ip_range).overlaps(IPv4Network(network.ip_range)):
            raise refused("networks_overlap", f"network '{network.name}' overlaps with '{other.name}'")


def _require_aliases(network: Network, taken: set[str], aliases: Sequence[str]) -> None:
    if len(aliases) > catalog.ALIAS_IPS_IN_NETWORK:
        raise limit_exceeded("alias IPs", catalog.ALIAS_IPS_IN_NETWORK)
    for alias in aliases:
        addresses.require_free_ip(network, network.subnets, taken, alias)
        taken = {*taken, alias}


def _taken(cloud: Cloud, network: Network, but: Server | None = None) -> set[str]:
    """Addresses in use, without the alias IPs of one server."""
    return {
        ip
        for server in attached(cloud, network)
        for nic in server.nics
        if nic.network == network.id
        for ip in (nic.ip, *(() if but and server.id == but.id else nic.alias_ips))
    }


def attach(cloud: Cloud, ident: int, body: Attach) -> Reply:
    server = cloud.records.get(Server, ident)
    network = cloud.records.get(Network, body.network)
    cloud.actions.require_unlocked(server)
    nic = new_nic(cloud, server, network, body.ip, body.ip_range, body.alias_ips)
    server, undo = cloud.records.change(server, nics=(*server.nics, nic))
    return cloud.begun(attached_to(cloud, server, network, [undo]))


def attached_to(
    cloud: Cloud, server: Server, network: Network, undo: Sequence[Undo], after: Action | None = None
) -> Action:
    return cloud.actions.begin(
        "attach_to_network", [server, network], [step(rewire)], locks=[server], undo=undo, after=after
    )


def detach(cloud: Cloud, ident: int, body: Detach) -> Reply:
    server = cloud.records.get(Server, ident)
    network = cloud.records.get(Network, body.network)
    nic = _nic(server, network)
    server, undo = cloud.records.change(server, nics=tuple(each for each in server.nics if each != nic))
    return cloud.begun(
        cloud.actions.begin("detach_from_network", [server, network], [step(rewire)], locks=[server], undo=[undo])
    )


def change_alias_ips(cloud: Cloud, ident: int, body: ChangeAliasIps) -> Reply:
    """The whole list is replaced."""
    server = cloud.records.get(Server, ident)
    network = cloud.records.get(Network, body.network)
    nic = _nic(server, network)
    _require_aliases(network, _taken(cloud, network, but=server), body.alias_ips)
    changed = nic.model_copy(update={"alias_ips": body.alias_ips})
    nics = tuple(changed if each == nic else each for each in server.nics)
    server, undo = cloud.records.change(server, nics=nics)
    return cloud.begun(
        cloud.actions.begin("change_alias_ips", [server, network], [step(rewire)], locks=[server], undo=[undo])
    )


def _nic(server: Server, network: Network) -> Nic:
    for nic in server.nics:
        if nic.network == network.id:
            return nic
    raise refused("service_error", f"server '{server.name}' is not attached to network '{network.name}'")


ENDPOINTS = (
    Endpoint("POST", "/servers/{id}/actions/attach_to_network", attach, Attach),
    Endpoint("POST", "/servers/{id}/actions/detach_from_network", detach, Detach),
    Endpoint("POST", "/servers/{id}/actions/change_alias_ips", change_alias_ips, ChangeAliasIps),
)
