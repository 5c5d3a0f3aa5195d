"""Private networks, their subnets and routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from localcloud.hetzner import addresses, catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Address4, Body, Cidr4, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import conflict, invalid, limit_exceeded, refused
from localcloud.hetzner.model import Action, Network, Route, Server, Step, Undo
from localcloud.hetzner.steps import rewire, step


class SubnetBody(Body):
    type: Literal["cloud", "server", "vswitch"]
    network_zone: str
    ip_range: Cidr4 | None = None
    vswitch_id: int | None = None


class RouteBody(Body):
    destination: Cidr4
    gateway: Address4


class CreateNetwork(Body):
    name: Name
    ip_range: Cidr4
    labels: Labels = NO_LABELS
    subnets: tuple[SubnetBody, ...] = ()
    routes: tuple[RouteBody, ...] = ()
    expose_routes_to_vswitch: bool = False


class UpdateNetwork(Body):
    name: Name | None = None
    labels: Labels | None = None
    expose_routes_to_vswitch: bool | None = None


class RangeBody(Body):
    ip_range: Cidr4


class ChangeProtection(Body):
    delete: bool


def with_subnet(network: Network, body: SubnetBody) -> Network:
    """The network with one more subnet; raises what the provider says of one that does not fit."""
    if body.type == "vswitch":
        raise refused("unsupported_error", "this cloud has no vSwitch")
    if body.network_zone not in catalog.ZONES:
        raise invalid("network_zone", f"'{body.network_zone}' is not one of {', '.join(catalog.ZONES)}")
    if len(network.subnets) >= catalog.SUBNETS_IN_NETWORK:
        raise limit_exceeded("subnets", catalog.SUBNETS_IN_NETWORK)
    subnet = addresses.new_subnet(network, body.ip_range, body.type, body.network_zone)
    return network.model_copy(update={"subnets": (*network.subnets, subnet)})


def with_route(network: Network, body: RouteBody) -> Network:
    """The network with one more route; raises what the provider says of one that does not fit."""
    route = Route(destination=body.destination, gateway=body.gateway)
    if len(network.routes) >= catalog.ROUTES_IN_NETWORK:
        raise limit_exceeded("routes", catalog.ROUTES_IN_NETWORK)
    addresses.require_route(network, route)
    return network.model_copy(update={"routes": (*network.routes, route)})


def create(cloud: Cloud, body: CreateNetwork) -> Reply:
    cloud.require_room(Network)
    cloud.require_new_name(Network, body.name)
    addresses.require_network_range(body.ip_range)
    plain = body.model_dump(exclude={"subnets", "routes"})
    network = Network(id=cloud.records.new_id(), created=now(), **plain)
    for subnet in body.subnets:
        network = with_subnet(network, subnet)
    for route in body.routes:
        network = with_route(network, route)
    return cloud.shown(201, cloud.records.put(network))


def update(cloud: Cloud, ident: int, body: UpdateNetwork) -> Reply:
    _unchanging(cloud, ident)
    return cloud.update(Network, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    """Attached servers are detached automatically."""
    network = _unchanging(cloud, ident)
    cloud.require_deletable(network)
    undo = [cloud.records.delete(network)]
    for server in attached(cloud, network):
        if cloud.actions.is_locked(server):
            raise conflict(network.singular, ident)
        nics = tuple(nic for nic in server.nics if nic.network != ident)
        undo.append(cloud.records.change(server, nics=nics)[1])
    return Reply(204, wait=cloud.actions.begin("delete_network", [network], [step(rewire)], undo=undo))


def attached(cloud: Cloud, network: Network) -> list[Server]:
    return [server for server in cloud.records.all(Server) if any(nic.network == network.id for nic in server.nics)]


def add_subnet(cloud: Cloud, ident: int, body: SubnetBody) -> Reply:
    network = _unchanging(cloud, ident)
    _, undo = cloud.records.change(network, subnets=with_subnet(network, body).subnets)
    return cloud.begun(_begin(cloud, "add_subnet", network, [undo]))


def delete_subnet(cloud: Cloud, ident: int, body: RangeBody) -> Reply:
    """The refusal's code and words are what terraform-provider-hcloud looks for (network/resource_subnet.go)."""
    network = _unchanging(cloud, ident)
    left = tuple(subnet for subnet in network.subnets if subnet.ip_range != body.ip_range)
    if len(left) == len(network.subnets):
        raise invalid("ip_range", f"network '{network.name}' has no subnet {body.ip_range}")
    if addresses.any_within(body.ip_range, _private_ips(cloud, network)):
        raise refused("service_error", "cannot remove subnet because servers are attached to it")
    _, undo = cloud.records.change(network, subnets=left)
    return cloud.begun(_begin(cloud, "delete_subnet", network, [undo]))


def add_route(cloud: Cloud, ident: int, body: RouteBody) -> Reply:
    network = _unchanging(cloud, ident)
    _, undo = cloud.records.change(network, routes=with_route(network, body).routes)
    return cloud.begun(_begin(cloud, "add_route", network, [undo]))


def delete_route(cloud: Cloud, ident: int, body: RouteBody) -> Reply:
    """Both fields must fit, so that nobody deletes a route that somebody else has just replaced."""
    network = _unchanging(cloud, ident)
    route = Route(destination=body.destination, gateway=body.gateway)
    if route not in network.routes:
        raise invalid("destination", f"network '{network.name}' has no route {route.destination} to {route.gateway}")
    _, undo = cloud.records.change(network, routes=tuple(each for each in network.routes if each != route))
    return cloud.begun(_begin(cloud, "delete_route", network, [undo]))


def change_ip_range(cloud: Cloud, ident: int, body: RangeBody) -> Reply:
    network = _unchanging(cloud, ident)
    addresses.require_extension(network, body.ip_range)
    _, undo = cloud.records.change(network, ip_range=body.ip_range)
    return cloud.begun(_begin(cloud, "change_ip_range", network, [undo]))


def change_protection(cloud: Cloud, ident: int, body: ChangeProtection) -> Reply:
    network = _unchanging(cloud, ident)
    _, undo = cloud.records.change(network, protected=body.delete)
    return cloud.begun(_begin(cloud, "change_protection", network, [undo], steps=()))


def _unchanging(cloud: Cloud, ident: int) -> Network:
    """The network; raises `conflict` while another request changes it."""
    network = cloud.records.get(Network, ident)
    cloud.actions.require_unlocked(network)
    return network


def _begin(
    cloud: Cloud, command: str, network: Network, undo: Sequence[Undo], steps: Sequence[Step] = (step(rewire),)
) -> Action:
    return cloud.actions.begin(command, [network], steps, undo=undo)


def _private_ips(cloud: Cloud, network: Network) -> list[str]:
    nics = [nic for server in attached(cloud, network) for nic in server.nics if nic.network == network.id]
    return [ip for nic in nics for ip in (nic.ip, *nic.alias_ips)]


ENDPOINTS = (
    Endpoint("POST", "/networks", create, CreateNetwork),
    Endpoint("PUT", "/networks/{id}", update, UpdateNetwork),
    Endpoint("DELETE", "/networks/{id}", delete),
    Endpoint("POST", "/networks/{id}/actions/add_subnet", add_subnet, SubnetBody),
    Endpoint("POST", "/networks/{id}/actions/delete_subnet", delete_subnet, RangeBody),
    Endpoint("POST", "/networks/{id}/actions/add_route", add_route, RouteBody),
    Endpoint("POST", "/networks/{id}/actions/delete_route", delete_route, RouteBody),
    Endpoint("POST", "/networks/{id}/actions/change_ip_range", change_ip_range, RangeBody),
    Endpoint("POST", "/networks/{id}/actions/change_protection", change_protection, ChangeProtection),
)
