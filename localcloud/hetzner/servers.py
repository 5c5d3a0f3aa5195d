"""Servers: creation, change of name and labels, deletion."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, HostName, Labels
from localcloud.hetzner.catalog import Image, Location, ServerType
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, not_found, refused
from localcloud.hetzner.firewalls import require_protectable
from localcloud.hetzner.model import (
    Action,
    Firewall,
    IpType,
    Network,
    PrimaryIp,
    Server,
    SshKey,
    Undo,
    UserData,
    Volume,
)
from localcloud.hetzner.placement_groups import require_place
from localcloud.hetzner.primary_ips import new_primary_ip
from localcloud.hetzner.server_networks import attached_to, new_nic
from localcloud.hetzner.steps import (
    create_machine,
    cut_power,
    delete_machine,
    forget_server,
    rewire,
    settle_off,
    start,
    step,
)
from localcloud.hetzner.views import action_view
from localcloud.hetzner.volumes import attach_action

PASSWORD_BYTES = 15
DEFAULT_LOCATION = "fsn1"


def _small_enough(user_data: str) -> str:
    if len(user_data.encode()) > catalog.USER_DATA_BYTES:
        raise ValueError(f"Length must be between 0 and {catalog.USER_DATA_BYTES}.")
    return user_data


UserDataText = Annotated[str, AfterValidator(_small_enough)]


class FirewallRef(Body):
    firewall: int


class PublicNetBody(Body):
    """`ipv4` and `ipv6` are IDs of primary IPs; without one a new primary IP is made."""

    enable_ipv4: bool = True
    enable_ipv6: bool = True
    ipv4: int | None = None
    ipv6: int | None = None


class CreateServer(Body):
    name: HostName
    server_type: int | str
    image: int | str
    location: int | str | None = None
    ssh_keys: tuple[int | str, ...] = ()
    user_data: UserDataText | None = None
    labels: Labels = NO_LABELS
    firewalls: tuple[FirewallRef, ...] = ()
    placement_group: int | None = None
    networks: tuple[int, ...] = ()
    volumes: tuple[int, ...] = ()
    automount: bool | None = None
    public_net: PublicNetBody = PublicNetBody()
    start_after_create: bool = True


class UpdateServer(Body):
    name: HostName | None = None
    labels: Labels | None = None


@dataclass(frozen=True)
class Offer:
    """What is ordered, out of the catalog."""

    server_type: ServerType
    image: Image
    location: Location


def create(cloud: Cloud, body: CreateServer) -> Reply:
    cloud.require_room(Server)
    cloud.require_new_name(Server, body.name)
    offer = _offer(cloud, body)
    keys = [_ssh_key(cloud, key) for key in body.ssh_keys]
    if body.placement_group is not None:
        require_place(cloud, body.placement_group)
    server = cloud.records.put(_new_server(cloud, body, offer, keys))
    cloud.records.put(UserData(id=server.id, text=body.user_data or ""))
    _give_public_ips(cloud, server, body.public_net)
    _apply_firewalls(cloud, server, body.firewalls)
    creation, *following = _begin_creation(cloud, server, body)
    return cloud.shown(
        201,
        cloud.records.get(Server, server.id),
        action=action_view(creation),
        next_actions=[action_view(action) for action in following],
        root_password=None if keys else secrets.token_urlsafe(PASSWORD_BYTES),
    )


def _offer(cloud: Cloud, body: CreateServer) -> Offer:
    """Where nothing says otherwise the server stands where its primary IP is."""
    location = body.location
    for ident in (body.public_net.ipv4, body.public_net.ipv6):
        if location is None and ident is not None:
            location = cloud.records.get(PrimaryIp, ident).location
    offer = Offer(
        catalog.server_type_named(body.server_type),
        catalog.image_named(body.image),
        catalog.location_named(location if location is not None else DEFAULT_LOCATION),
    )
    catalog.require_orderable(offer.server_type, offer.location, cloud.stock(offer.server_type))
    return offer


def _ssh_key(cloud: Cloud, name_or_id: int | str) -> SshKey:
    for key in cloud.records.all(SshKey):
        if name_or_id in (key.id, key.name, str(key.id)):
            return key
    raise not_found("SSH key", name_or_id)


def _new_server(cloud: Cloud, body: CreateServer, offer: Offer, keys: list[SshKey]) -> Server:
    return Server(
        id=cloud.records.new_id(),
        created=now(),
        name=body.name,
        labels=body.labels,
        status="initializing",
        server_type=offer.server_type.name,
        image=offer.image.name,
        location=offer.location.name,
        disk=offer.server_type.disk,
        placement_group=body.placement_group,
        public_keys=tuple(key.public_key for key in keys),
    )


def _give_public_ips(cloud: Cloud, server: Server, public_net: PublicNetBody) -> None:
    asked: tuple[tuple[IpType, bool, int | None], ...] = (
        ("ipv4", public_net.enable_ipv4, public_net.ipv4),
        ("ipv6", public_net.enable_ipv6, public_net.ipv6),
    )
    for ip_type, enabled, ident in asked:
        if not enabled:
            continue
        if ident is None:
            cloud.require_room(PrimaryIp)
            ip = new_primary_ip(cloud, ip_type, server.location, auto_delete=True, labels={})
        else:
            ip = _free_primary_ip(cloud, ident, ip_type, server)
        cloud.records.change(ip, assignee_id=server.id)


def _free_primary_ip(cloud: Cloud, ident: int, ip_type: IpType, server: Server) -> PrimaryIp:
    ip = cloud.records.get(PrimaryIp, ident)
    cloud.actions.require_unlocked(ip)
    if ip.assignee_id is not None:
        raise refused("primary_ip_assigned", f"primary IP '{ip.name}' is assigned to a server already")
    if ip.type != ip_type:
        raise refused("primary_ip_version_mismatch", f"primary IP '{ip.name}' is of type {ip.type}, not {ip_type}")
    if ip.location != server.location:
        raise refused("primary_ip_datacenter_mismatch", f"primary IP is in {ip.location}, server in {server.location}")
    return ip


def _apply_firewalls(cloud: Cloud, server: Server, refs: tuple[FirewallRef, ...]) -> None:
    for each in refs:
        firewall = cloud.records.get(Firewall, each.firewall)
        if server.id in firewall.servers:
            raise invalid("firewalls", f"firewall '{firewall.name}' is given more than once")
        require_protectable(cloud, server)
        cloud.records.change(firewall, servers=(*firewall.servers, server.id))


def _begin_creation(cloud: Cloud, server: Server, body: CreateServer) -> list[Action]:
    """The chain of actions: create, then networks, volumes, and power, as the body asks for them."""
    if_failed = [_off(server)]
    steps = [step(create_machine, server.id), step(rewire), step(settle_off, server.id)]
    chain = [cloud.actions.begin("create_server", [server], steps, undo=if_failed)]
    for ident in body.networks:
        chain.append(_attach_network(cloud, server.id, cloud.records.get(Network, ident), chain[-1]))
    for ident in body.volumes:
        chain.append(attach_action(cloud, cloud.records.get(Volume, ident), server, after=chain[-1]))
    if body.start_after_create:
        started = [step(start, server.id)]
        chain.append(cloud.actions.begin("start_server", [server], started, undo=if_failed, after=chain[-1]))
    return chain


def _off(server: Server) -> Undo:
    """What becomes of a server whose creation, start or deletion failed: the cloud stays with it, switched off."""
    return Undo(kind=server.kind, id=server.id, fields={"status": "off"})


def _attach_network(cloud: Cloud, ident: int, network: Network, after: Action) -> Action:
    server = cloud.records.get(Server, ident)
    nic = new_nic(cloud, server, network, None, None, ())
    server, undo = cloud.records.change(server, nics=(*server.nics, nic))
    return attached_to(cloud, server, network, [undo], after=after)


def update(cloud: Cloud, ident: int, body: UpdateServer) -> Reply:
    """Labels may bring a server under a firewall with a label selector, or out of it."""
    reply = cloud.update(Server, ident, body)
    selecting = [firewall for firewall in cloud.records.all(Firewall) if firewall.selectors]
    if body.labels is not None and selecting:
        server = cloud.records.get(Server, ident)
        cloud.actions.begin("apply_firewall", [server, *selecting], [step(rewire)], locks=())
    return reply


def delete(cloud: Cloud, ident: int) -> Reply:
    server = cloud.records.get(Server, ident)
    cloud.require_deletable(server)
    server, _ = cloud.records.change(server, status="deleting")
    steps = [step(cut_power, ident), step(delete_machine, ident), step(forget_server, ident), step(rewire)]
    action = cloud.actions.begin("delete_server", [server], steps, undo=[_off(server)])
    return Reply(200, {"action": action_view(action)})


ENDPOINTS = (
    Endpoint("POST", "/servers", create, CreateServer),
    Endpoint("PUT", "/servers/{id}", update, UpdateServer),
    Endpoint("DELETE", "/servers/{id}", delete),
)
