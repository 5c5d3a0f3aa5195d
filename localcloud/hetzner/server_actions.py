"""What can be done to a server that exists: power, type, image, protection, placement."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Literal

from localcloud.hetzner import catalog
from localcloud.hetzner.body import Body
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, protected, refused
from localcloud.hetzner.model import PlacementGroup, PrimaryIp, Server, ServerStatus, Step, UserData
from localcloud.hetzner.placement_groups import require_place
from localcloud.hetzner.public_ips import ChangeDnsPtr, with_dns_ptr
from localcloud.hetzner.servers import PASSWORD_BYTES, UserDataText
from localcloud.hetzner.steps import (
    create_machine,
    cut_power,
    press_power_button,
    reboot,
    rewire,
    settle_off,
    start,
    step,
    wipe_machine,
)
from localcloud.hetzner.views import action_view
from localcloud.hetzner.world import primary_ip_of

BACKUP_WINDOW = "22-02"


class ChangeType(Body):
    server_type: int | str
    upgrade_disk: bool


class ChangeProtection(Body):
    delete: bool | None = None
    rebuild: bool | None = None


class AddToPlacementGroup(Body):
    placement_group: int


class EnableBackup(Body):
    """The window was chosen by the user once, and clients can still send it."""

    backup_window: Literal["22-02", "02-06", "06-10", "10-14", "14-18", "18-22"] | None = None


class Rebuild(Body):
    image: int | str
    user_data: UserDataText | None = None


def _power(command: str, passing: ServerStatus | None, steps: Sequence[Step], cloud: Cloud, server: Server) -> Reply:
    """One action on power; the server shows `passing` while it runs."""
    undo = []
    if passing:
        server, before = cloud.records.change(server, status=passing)
        undo = [before]
    return cloud.begun(cloud.actions.begin(command, [server], steps, undo=undo))


def _free(cloud: Cloud, ident: int) -> Server:
    """The server, if no action works on it."""
    server = cloud.records.get(Server, ident)
    cloud.actions.require_unlocked(server)
    return server


def _stopped(cloud: Cloud, ident: int) -> Server:
    server = _free(cloud, ident)
    if server.status != "off":
        raise refused("server_not_stopped", f"server '{server.name}' is {server.status}, it must be off")
    return server


def poweron(cloud: Cloud, ident: int) -> Reply:
    server = _free(cloud, ident)
    snapshot = cloud.records.snapshot()
    if not server.nics and not any(primary_ip_of(snapshot, server, ip_type) for ip_type in ("ipv4", "ipv6")):
        raise refused("service_error", f"server '{server.name}' needs a public or a private network to be powered on")
    return _power("start_server", "starting", [step(rewire), step(start, ident)], cloud, server)


def poweroff(cloud: Cloud, ident: int) -> Reply:
    steps = [step(cut_power, ident), step(settle_off, ident)]
    return _power("stop_server", "stopping", steps, cloud, _free(cloud, ident))


def reset(cloud: Cloud, ident: int) -> Reply:
    steps = [step(cut_power, ident), step(rewire), step(start, ident)]
    return _power("reset_server", "starting", steps, cloud, _free(cloud, ident))


def shutdown(cloud: Cloud, ident: int) -> Reply:
    return _power("shutdown_server", None, [step(press_power_button, ident)], cloud, _free(cloud, ident))


def soft_reboot(cloud: Cloud, ident: int) -> Reply:
    return _power("reboot_server", None, [step(reboot, ident)], cloud, _free(cloud, ident))


def change_type(cloud: Cloud, ident: int, body: ChangeType) -> Reply:
    """The server is started afterwards, and a disk never shrinks."""
    server = _stopped(cloud, ident)
    server_type = catalog.server_type_named(body.server_type)
    if server_type.name == server.server_type:
        raise refused("invalid_server_type", f"server '{server.name}' is of type {server_type.name} already")
    if server_type.architecture != catalog.server_type_named(server.server_type).architecture:
        raise refused("invalid_server_type", f"{server_type.name} is of architecture {server_type.architecture}")
    if server_type.disk < server.disk:
        problem = f"its disk of {server_type.disk} GB is smaller than the server's {server.disk} GB"
        raise refused("invalid_server_type", f"{server_type.name} does not fit: {problem}")
    catalog.require_orderable(server_type, catalog.location_named(server.location), cloud.stock(server_type))
    disk = server_type.disk if body.upgrade_disk else server.disk
    server, undo = cloud.records.change(server, server_type=server_type.name, disk=disk, status="migrating")
    steps = [step(create_machine, ident), step(rewire), step(start, ident)]
    return cloud.begun(cloud.actions.begin("change_server_type", [server], steps, undo=[undo]))


def rebuild(cloud: Cloud, ident: int, body: Rebuild) -> Reply:
    """All data on its disk is lost; it keeps its user data unless new ones are given, and is started."""
    server = _free(cloud, ident)
    if server.protected:
        raise protected(server.singular, ident)
    image = catalog.image_named(body.image)
    if body.user_data is not None:
        cloud.records.put(UserData(id=ident, text=body.user_data))
    server, undo = cloud.records.change(server, image=image.name, status="rebuilding")
    undo = undo.model_copy(update={"fields": {**undo.fields, "status": "off"}})
    steps = [step(cut_power, ident), step(wipe_machine, ident), step(rewire), step(start, ident)]
    action = cloud.actions.begin("rebuild_server", [server], steps, undo=[undo])
    password = None if server.public_keys else secrets.token_urlsafe(PASSWORD_BYTES)
    return Reply(201, {"action": action_view(action), "root_password": password})


def change_protection(cloud: Cloud, ident: int, body: ChangeProtection) -> Reply:
    """Both kinds of protection must have the same value, as the provider documents."""
    server = _free(cloud, ident)
    wanted = {
        kind: server.protected if value is None else value
        for kind, value in (("delete", body.delete), ("rebuild", body.rebuild))
    }
    if wanted["delete"] is not wanted["rebuild"]:
        raise invalid("rebuild", "delete and rebuild must have the same value")
    server, undo = cloud.records.change(server, protected=wanted["delete"])
    return cloud.begun(cloud.actions.begin("change_protection", [server], (), undo=[undo]))


def add_to_placement_group(cloud: Cloud, ident: int, body: AddToPlacementGroup) -> Reply:
    server = _stopped(cloud, ident)
    if server.placement_group is not None:
        raise refused("service_error", f"server '{server.name}' is in a placement group already")
    group = require_place(cloud, body.placement_group)
    server, undo = cloud.records.change(server, placement_group=group.id)
    action = cloud.actions.begin("add_to_placement_group", [server, group], (), locks=[server], undo=[undo])
    return cloud.begun(action)


def remove_from_placement_group(cloud: Cloud, ident: int) -> Reply:
    server = _free(cloud, ident)
    if server.placement_group is None:
        raise refused("service_error", f"server '{server.name}' is in no placement group")
    group = cloud.records.get(PlacementGroup, server.placement_group)
    server, undo = cloud.records.change(server, placement_group=None)
    action = cloud.actions.begin("remove_from_placement_group", [server, group], (), locks=[server], undo=[undo])
    return cloud.begun(action)


def enable_backup(cloud: Cloud, ident: int, body: EnableBackup) -> Reply:
    """The provider chooses the window; no backup is made here, for nothing could be restored from one."""
    server, undo = cloud.records.change(_free(cloud, ident), backup_window=body.backup_window or BACKUP_WINDOW)
    return cloud.begun(cloud.actions.begin("enable_backup", [server], (), undo=[undo]))


def disable_backup(cloud: Cloud, ident: int) -> Reply:
    server, undo = cloud.records.change(_free(cloud, ident), backup_window=None)
    return cloud.begun(cloud.actions.begin("disable_backup", [server], (), undo=[undo]))


def change_dns_ptr(cloud: Cloud, ident: int, body: ChangeDnsPtr) -> Reply:
    """The names of the server's primary IPs."""
    server = _free(cloud, ident)
    ips = [ip for ip in cloud.records.all(PrimaryIp) if ip.assignee_id == ident]
    ip = next((ip for ip in ips if (":" in body.ip) is (ip.type == "ipv6")), None)
    if ip is None:
        raise invalid("ip", f"{body.ip} is not an address of server '{server.name}'")
    _, undo = cloud.records.change(ip, dns_ptr=with_dns_ptr(ip, body))
    return cloud.begun(cloud.actions.begin("change_dns_ptr", [server], (), undo=[undo]))


ACTIONS = "/servers/{id}/actions"
ENDPOINTS = (
    Endpoint("POST", f"{ACTIONS}/poweron", poweron),
    Endpoint("POST", f"{ACTIONS}/poweroff", poweroff),
    Endpoint("POST", f"{ACTIONS}/reset", reset),
    Endpoint("POST", f"{ACTIONS}/reboot", soft_reboot),
    Endpoint("POST", f"{ACTIONS}/shutdown", shutdown),
    Endpoint("POST", f"{ACTIONS}/change_type", change_type, ChangeType),
    Endpoint("POST", f"{ACTIONS}/rebuild", rebuild, Rebuild),
    Endpoint("POST", f"{ACTIONS}/change_protection", change_protection, ChangeProtection),
    Endpoint("POST", f"{ACTIONS}/add_to_placement_group", add_to_placement_group, AddToPlacementGroup),
    Endpoint("POST", f"{ACTIONS}/remove_from_placement_group", remove_from_placement_group),
    Endpoint("POST", f"{ACTIONS}/change_dns_ptr", change_dns_ptr, ChangeDnsPtr),
    Endpoint("POST", f"{ACTIONS}/enable_backup", enable_backup, EnableBackup),
    Endpoint("POST", f"{ACTIONS}/disable_backup", disable_backup),
)
