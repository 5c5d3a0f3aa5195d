"""Primary IPs: the public addresses that a server has of its own. They change hands only while it is off."""

from __future__ import annotations

from typing import Literal

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, refused
from localcloud.hetzner.model import Action, IpType, PrimaryIp, Server
from localcloud.hetzner.public_ips import ChangeDnsPtr, ChangeProtection, default_dns_ptr, free_ip, with_dns_ptr
from localcloud.hetzner.steps import rewire, step
from localcloud.hetzner.views import action_view
from localcloud.hetzner.world import primary_ip_of


class CreatePrimaryIp(Body):
    name: Name
    type: IpType
    assignee_type: Literal["server"] | None = None
    assignee_id: int | None = None
    location: int | str | None = None
    auto_delete: bool = False
    labels: Labels = NO_LABELS


class UpdatePrimaryIp(Body):
    name: Name | None = None
    auto_delete: bool | None = None
    labels: Labels | None = None


class Assign(Body):
    assignee_id: int
    assignee_type: Literal["server"] = "server"


def new_primary_ip(
    cloud: Cloud, ip_type: IpType, location: str, *, name: str | None = None, auto_delete: bool, labels: dict[str, str]
) -> PrimaryIp:
    """A new, unassigned IP in the records; without a name it gets the one that the provider gives a server's."""
    ident = cloud.records.new_id()
    address = free_ip(cloud, ip_type)
    return cloud.records.put(
        PrimaryIp(
            id=ident,
            created=now(),
            name=name or f"primary_ip-{ident}",
            labels=labels,
            type=ip_type,
            ip=address,
            location=location,
            auto_delete=auto_delete,
            dns_ptr=default_dns_ptr(ip_type, address),
        )
    )


def create(cloud: Cloud, body: CreatePrimaryIp) -> Reply:
    cloud.require_room(PrimaryIp)
    cloud.require_new_name(PrimaryIp, body.name)
    server = _off_server(cloud, body.assignee_id) if body.assignee_id is not None else None
    ip = new_primary_ip(
        cloud, body.type, _location(body, server), name=body.name, auto_delete=body.auto_delete, labels=body.labels
    )
    action = _assign(cloud, ip, server) if server else None
    return cloud.shown(201, cloud.records.get(PrimaryIp, ip.id), action=action and action_view(action))


def _location(body: CreatePrimaryIp, server: Server | None) -> str:
    if (server is None) is (body.location is None):
        raise invalid("location", "exactly one of location and assignee_id is needed")
    return server.location if server else catalog.location_named(body.location or "").name


def update(cloud: Cloud, ident: int, body: UpdatePrimaryIp) -> Reply:
    ip = cloud.records.get(PrimaryIp, ident)
    if body.auto_delete and ip.protected:
        raise invalid("auto_delete", "a protected primary IP cannot be deleted automatically")
    return cloud.update(PrimaryIp, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    ip = cloud.records.get(PrimaryIp, ident)
    cloud.require_deletable(ip)
    if ip.assignee_id is not None:
        raise refused("must_be_unassigned", f"primary IP '{ip.name}' is assigned to a server, unassign it first")
    cloud.records.delete(ip)
    return Reply(204)


def assign(cloud: Cloud, ident: int, body: Assign) -> Reply:
    ip = cloud.records.get(PrimaryIp, ident)
    return cloud.begun(_assign(cloud, ip, _off_server(cloud, body.assignee_id)))


def _assign(cloud: Cloud, ip: PrimaryIp, server: Server) -> Action:
    if ip.assignee_id is not None:
        raise refused("primary_ip_already_assigned", f"primary IP '{ip.name}' is assigned to a server already")
    if primary_ip_of(cloud.records.snapshot(), server, ip.type):
        raise refused(f"server_has_{ip.type}", f"server '{server.name}' has an {ip.type} address already")
    if ip.location != server.location:
        raise refused("primary_ip_datacenter_mismatch", f"primary IP is in {ip.location}, server in {server.location}")
    ip, undo = cloud.records.change(ip, assignee_id=server.id)
    return cloud.actions.begin("assign_primary_ip", [ip, server], [step(rewire)], undo=[undo])


def unassign(cloud: Cloud, ident: int) -> Reply:
    ip = cloud.records.get(PrimaryIp, ident)
    if ip.assignee_id is None:
        raise refused("service_error", f"primary IP '{ip.name}' is not assigned")
    server = _off_server(cloud, ip.assignee_id)
    ip, undo = cloud.records.change(ip, assignee_id=None)
    action = cloud.actions.begin("unassign_primary_ip", [ip, server], [step(rewire)], undo=[undo])
    return cloud.begun(action)


def _off_server(cloud: Cloud, ident: int) -> Server:
    server = cloud.records.get(Server, ident)
    cloud.actions.require_unlocked(server)
    if server.status != "off":
        raise refused("server_not_stopped", f"server '{server.name}' is {server.status}, power it off first")
    return server


def change_protection(cloud: Cloud, ident: int, body: ChangeProtection) -> Reply:
    if body.delete and cloud.records.get(PrimaryIp, ident).auto_delete:
        raise invalid("delete", "a primary IP with auto_delete cannot be protected")
    return _recorded(cloud, "change_protection", ident, protected=body.delete)


def change_dns_ptr(cloud: Cloud, ident: int, body: ChangeDnsPtr) -> Reply:
    names = with_dns_ptr(cloud.records.get(PrimaryIp, ident), body)
    return _recorded(cloud, "change_dns_ptr", ident, dns_ptr=names)


def _recorded(cloud: Cloud, command: str, ident: int, **fields: object) -> Reply:
    ip, undo = cloud.records.change(cloud.records.get(PrimaryIp, ident), **fields)
    return cloud.begun(cloud.actions.begin(command, [ip], (), undo=[undo]))


ENDPOINTS = (
    Endpoint("POST", "/primary_ips", create, CreatePrimaryIp),
    Endpoint("PUT", "/primary_ips/{id}", update, UpdatePrimaryIp),
    Endpoint("DELETE", "/primary_ips/{id}", delete),
    Endpoint("POST", "/primary_ips/{id}/actions/assign", assign, Assign),
    Endpoint("POST", "/primary_ips/{id}/actions/unassign", unassign),
    Endpoint("POST", "/primary_ips/{id}/actions/change_protection", change_protection, ChangeProtection),
    Endpoint("POST", "/primary_ips/{id}/actions/change_dns_ptr", change_dns_ptr, ChangeDnsPtr),
)
