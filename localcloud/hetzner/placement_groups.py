"""Placement groups: servers that share no physical host."""

from __future__ import annotations

from typing import Literal

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import refused
from localcloud.hetzner.model import PlacementGroup, Server


class CreatePlacementGroup(Body):
    name: Name
    type: Literal["spread"]
    labels: Labels = NO_LABELS


class UpdatePlacementGroup(Body):
    name: Name | None = None
    labels: Labels | None = None


def members(cloud: Cloud, group: PlacementGroup) -> list[Server]:
    return [server for server in cloud.records.all(Server) if server.placement_group == group.id]


def require_place(cloud: Cloud, ident: int) -> PlacementGroup:
    """The group, if one more server fits; docs.hetzner.com/cloud/placement-groups: at most 10."""
    group = cloud.records.get(PlacementGroup, ident)
    limit = catalog.SERVERS_IN_SPREAD_GROUP
    if len(members(cloud, group)) >= limit:
        raise refused("placement_error", f"placement group '{group.name}' has {limit} servers, which is its limit")
    return group


def create(cloud: Cloud, body: CreatePlacementGroup) -> Reply:
    cloud.require_room(PlacementGroup)
    cloud.require_new_name(PlacementGroup, body.name)
    group = PlacementGroup(id=cloud.records.new_id(), created=now(), **body.model_dump())
    return cloud.shown(201, cloud.records.put(group), action=None)


def update(cloud: Cloud, ident: int, body: UpdatePlacementGroup) -> Reply:
    return cloud.update(PlacementGroup, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    """Members go on without it; the provider's pages do not say that it must be empty."""
    group = cloud.records.get(PlacementGroup, ident)
    for server in members(cloud, group):
        cloud.records.change(server, placement_group=None)
    cloud.records.delete(group)
    return Reply(204)


ENDPOINTS = (
    Endpoint("POST", "/placement_groups", create, CreatePlacementGroup),
    Endpoint("PUT", "/placement_groups/{id}", update, UpdatePlacementGroup),
    Endpoint("DELETE", "/placement_groups/{id}", delete),
)
