"""Volumes: disks that outlive servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, VolumeName
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, limit_exceeded, refused
from localcloud.hetzner.model import Action, Server, Volume
from localcloud.hetzner.public_ips import ChangeProtection
from localcloud.hetzner.steps import attach_volume, create_volume, delete_volume, detach_volume, resize_volume, step
from localcloud.hetzner.views import action_view

Size = Annotated[int, Field(ge=catalog.VOLUME_GB[0], le=catalog.VOLUME_GB[1])]


class CreateVolume(Body):
    """`automount` mounts nothing here: the guest's own tools do that at the provider too."""

    name: VolumeName
    size: Size
    location: int | str | None = None
    server: int | None = None
    format: Literal["ext4", "xfs"] | None = None
    automount: bool | None = None
    labels: Labels = NO_LABELS


class UpdateVolume(Body):
    name: VolumeName | None = None
    labels: Labels | None = None


class Attach(Body):
    server: int
    automount: bool | None = None


class Resize(Body):
    size: Size


def create(cloud: Cloud, body: CreateVolume) -> Reply:
    cloud.require_room(Volume)
    cloud.require_new_name(Volume, body.name)
    server = cloud.records.get(Server, body.server) if body.server is not None else None
    volume = cloud.records.put(
        Volume(
            id=cloud.records.new_id(),
            created=now(),
            name=body.name,
            labels=body.labels,
            size=body.size,
            format=body.format,
            location=_location(body, server),
            status="creating",
        )
    )
    action = cloud.actions.begin("create_volume", [volume], [step(create_volume, volume.id)])
    following = [attach_action(cloud, volume, server, after=action)] if server else []
    return cloud.shown(
        201,
        cloud.records.get(Volume, volume.id),
        action=action_view(action),
        next_actions=[action_view(each) for each in following],
    )


def _location(body: CreateVolume, server: Server | None) -> str:
    if server:
        return server.location
    if body.location is None:
        raise invalid("location", "either location or server is needed")
    return catalog.location_named(body.location).name


def attach_action(cloud: Cloud, volume: Volume, server: Server, after: Action | None = None) -> Action:
    """Attach a volume; raises what the provider says of one that cannot be."""
    if volume.server is not None:
        raise refused("volume_already_attached", f"volume '{volume.name}' is attached to a server, detach it first")
    if volume.location != server.location:
        raise invalid("server", f"volume is in {volume.location}, server in {server.location}")
    attached = [each for each in cloud.records.all(Volume) if each.server == server.id]
    if len(attached) >= catalog.VOLUMES_ON_SERVER:
        raise limit_exceeded("volumes of a server", catalog.VOLUMES_ON_SERVER)
    volume, undo = cloud.records.change(volume, server=server.id)
    return cloud.actions.begin(
        "attach_volume", [volume, server], [step(attach_volume, volume.id)], undo=[undo], after=after
    )


def update(cloud: Cloud, ident: int, body: UpdateVolume) -> Reply:
    return cloud.update(Volume, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    """The code for an attached volume is not documented."""
    volume = cloud.records.get(Volume, ident)
    cloud.require_deletable(volume)
    if volume.server is not None:
        raise refused("resource_in_use", f"volume '{volume.name}' is attached to a server, detach it first")
    undo = cloud.records.delete(volume)
    return Reply(204, wait=cloud.actions.begin("delete_volume", [volume], [step(delete_volume, ident)], undo=[undo]))


def attach(cloud: Cloud, ident: int, body: Attach) -> Reply:
    volume = cloud.records.get(Volume, ident)
    return cloud.begun(attach_action(cloud, volume, cloud.records.get(Server, body.server)))


def detach(cloud: Cloud, ident: int) -> Reply:
    volume = cloud.records.get(Volume, ident)
    if volume.server is None:
        raise refused("service_error", f"volume '{volume.name}' is not attached")
    server = cloud.records.get(Server, volume.server)
    volume, undo = cloud.records.change(volume, server=None)
    return cloud.begun(
        cloud.actions.begin("detach_volume", [volume, server], [step(detach_volume, ident)], undo=[undo])
    )


def resize(cloud: Cloud, ident: int, body: Resize) -> Reply:
    volume = cloud.records.get(Volume, ident)
    if body.size <= volume.size:
        raise invalid("size", f"{body.size} is not greater than the volume's {volume.size}")
    volume, undo = cloud.records.change(volume, size=body.size)
    return cloud.begun(cloud.actions.begin("resize_volume", [volume], [step(resize_volume, ident)], undo=[undo]))


def change_protection(cloud: Cloud, ident: int, body: ChangeProtection) -> Reply:
    volume, undo = cloud.records.change(cloud.records.get(Volume, ident), protected=body.delete)
    return cloud.begun(cloud.actions.begin("change_protection", [volume], (), undo=[undo]))


ENDPOINTS = (
    Endpoint("POST", "/volumes", create, CreateVolume),
    Endpoint("PUT", "/volumes/{id}", update, UpdateVolume),
    Endpoint("DELETE", "/volumes/{id}", delete),
    Endpoint("POST", "/volumes/{id}/actions/attach", attach, Attach),
    Endpoint("POST", "/volumes/{id}/actions/detach", detach),
    Endpoint("POST", "/volumes/{id}/actions/resize", resize, Resize),
    Endpoint("POST", "/volumes/{id}/actions/change_protection", change_protection, ChangeProtection),
)
