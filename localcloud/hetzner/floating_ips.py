"""Floating IPs: public addresses that move between servers."""

from __future__ import annotations

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, refused
from localcloud.hetzner.model import Action, FloatingIp, IpType, Server
from localcloud.hetzner.public_ips import ChangeDnsPtr, ChangeProtection, default_dns_ptr, free_ip, with_dns_ptr
from localcloud.hetzner.steps import rewire, step
from localcloud.hetzner.views import action_view


class CreateFloatingIp(Body):
    type: IpType
    name: Name | None = None
    home_location: int | str | None = None
    server: int | None = None
    description: str | None = None
    labels: Labels = NO_LABELS


class UpdateFloatingIp(Body):
    name: Name | None = None
    description: str | None = None
    labels: Labels | None = None


class Assign(Body):
    server: int


def create(cloud: Cloud, body: CreateFloatingIp) -> Reply:
    cloud.require_room(FloatingIp)
    ident = cloud.records.new_id()
    name = body.name or f"floating-ip-{ident}"
    cloud.require_new_name(FloatingIp, name)
    server = cloud.records.get(Server, body.server) if body.server is not None else None
    address = free_ip(cloud, body.type)
    ip = cloud.records.put(
        FloatingIp(
            id=ident,
            created=now(),
            name=name,
            labels=body.labels,
            description=body.description or "",
            type=body.type,
            ip=address,
            home_location=_home(body, server),
            dns_ptr=default_dns_ptr(body.type, address),
        )
    )
    action = _assign(cloud, ip, server) if server else None
    return cloud.shown(201, cloud.records.get(FloatingIp, ident), action=action and action_view(action))


def _home(body: CreateFloatingIp, server: Server | None) -> str:
    if body.home_location is not None:
        return catalog.location_named(body.home_location, "home_location").name
    if server is None:
        raise invalid("home_location", "either home_location or server is needed")
    return server.location


def update(cloud: Cloud, ident: int, body: UpdateFloatingIp) -> Reply:
    return cloud.update(FloatingIp, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    ip = cloud.records.get(FloatingIp, ident)
    cloud.require_deletable(ip)
    if ip.server is not None:
        raise refused("must_be_unassigned", f"floating IP '{ip.name}' is assigned to a server, unassign it first")
    cloud.records.delete(ip)
    return Reply(204)


def assign(cloud: Cloud, ident: int, body: Assign) -> Reply:
    """From another server it moves; that `floating_ip_assigned` means the same server, is inferred: controllers
    and terraform-provider-hcloud move an IP with this one call."""
    ip = cloud.records.get(FloatingIp, ident)
    if ip.server == body.server:
        raise refused("floating_ip_assigned", f"floating IP '{ip.name}' is assigned to this server already")
    return cloud.begun(_assign(cloud, ip, cloud.records.get(Server, body.server)))


def _assign(cloud: Cloud, ip: FloatingIp, server: Server) -> Action:
    """Only the IP is locked: one server may get several at once."""
    ip, undo = cloud.records.change(ip, server=server.id)
    return cloud.actions.begin("assign_floating_ip", [ip, server], [step(rewire)], locks=[ip], undo=[undo])


def unassign(cloud: Cloud, ident: int) -> Reply:
    ip = cloud.records.get(FloatingIp, ident)
    if ip.server is None:
        raise refused("service_error", f"floating IP '{ip.name}' is not assigned")
    ip, undo = cloud.records.change(ip, server=None)
    return cloud.begun(cloud.actions.begin("unassign_floating_ip", [ip], [step(rewire)], undo=[undo]))


def change_protection(cloud: Cloud, ident: int, body: ChangeProtection) -> Reply:
    return _recorded(cloud, "change_protection", ident, protected=body.delete)


def change_dns_ptr(cloud: Cloud, ident: int, body: ChangeDnsPtr) -> Reply:
    names = with_dns_ptr(cloud.records.get(FloatingIp, ident), body)
    return _recorded(cloud, "change_dns_ptr", ident, dns_ptr=names)


def _recorded(cloud: Cloud, command: str, ident: int, **fields: object) -> Reply:
    ip, undo = cloud.records.change(cloud.records.get(FloatingIp, ident), **fields)
    return cloud.begun(cloud.actions.begin(command, [ip], (), undo=[undo]))


ENDPOINTS = (
    Endpoint("POST", "/floating_ips", create, CreateFloatingIp),
    Endpoint("PUT", "/floating_ips/{id}", update, UpdateFloatingIp),
    Endpoint("DELETE", "/floating_ips/{id}", delete),
    Endpoint("POST", "/floating_ips/{id}/actions/assign", assign, Assign),
    Endpoint("POST", "/floating_ips/{id}/actions/unassign", unassign),
    Endpoint("POST", "/floating_ips/{id}/actions/change_protection", change_protection, ChangeProtection),
    Endpoint("POST", "/floating_ips/{id}/actions/change_dns_ptr", change_dns_ptr, ChangeDnsPtr),
)
