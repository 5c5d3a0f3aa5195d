"""What every resource's requests need: the records, the actions, and the form of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from localcloud.backend import Backend
from localcloud.hetzner import catalog
from localcloud.hetzner.actions import Actions
from localcloud.hetzner.body import Body
from localcloud.hetzner.catalog import ServerType, Stock
from localcloud.hetzner.errors import limit_exceeded, not_unique, protected
from localcloud.hetzner.fault_panel import FaultPanel
from localcloud.hetzner.faults import stock_of
from localcloud.hetzner.model import Action, Resource, Server
from localcloud.hetzner.records import Records
from localcloud.hetzner.steps import Work
from localcloud.hetzner.views import (
    View,
    action_view,
    firewall_view,
    floating_ip_view,
    network_view,
    placement_group_view,
    primary_ip_view,
    server_view,
    ssh_key_view,
    volume_view,
)

R = TypeVar("R", bound=Resource)

VIEWS: Mapping[str, Callable[..., View]] = {
    "ssh_keys": ssh_key_view,
    "networks": network_view,
    "placement_groups": placement_group_view,
    "firewalls": firewall_view,
    "servers": server_view,
    "primary_ips": primary_ip_view,
    "floating_ips": floating_ip_view,
    "volumes": volume_view,
}


@dataclass(frozen=True)
class Reply:
    """What a handler answers; `wait` is an action that must end before the answer goes out."""

    status: int
    body: View | None = None
    wait: Action | None = None


@dataclass(frozen=True)
class Endpoint:
    """One operation: `handle(cloud[, id][, body])` runs in one transaction of the records.

    The ID is given when the path has one, the body, parsed, when there is a model for it.
    """

    method: str
    path: str
    handle: Callable[..., Reply]
    body: type[Body] | None = None


class Cloud:
    """One project at the provider."""

    def __init__(self, records: Records, backend: Backend) -> None:
        self.records = records
        self.work = Work(records, backend)
        self.actions = Actions(self.work)
        self.faults = FaultPanel(self)

    def resume(self) -> None:
        """Take up what a dead daemon left."""
        self.actions.resume()
        self.faults.resume()

    async def close(self, patience: float) -> None:
        """Let running actions end, for some seconds."""
        self.faults.close()
        await self.actions.close(patience)

    def stock(self, server_type: ServerType) -> Stock:
        return stock_of(self.faults.all(), server_type.name)

    def views(self, kind: type[Resource], resources: tuple[Resource, ...]) -> list[View]:
        snapshot = self.records.snapshot()
        show = VIEWS[kind.kind]
        if kind is Server:
            show = partial(show, locked=[each.id for each in resources if self.actions.is_locked(each)])
        return [show(snapshot, resource) for resource in resources]

    def view(self, resource: Resource) -> View:
        return self.views(type(resource), (resource,))[0]

    def shown(self, status: int, resource: Resource, **more: Any) -> Reply:
        """The reply that carries a resource, as it is now, under its name."""
        return Reply(status, {resource.singular: self.view(resource), **more})

    def begun(self, action: Action) -> Reply:
        return Reply(201, {"action": action_view(action)})

    def require_new_name(self, kind: type[Resource], name: str, ident: int | None = None) -> None:
        if any(other.name == name and other.id != ident for other in self.records.all(kind)):
            raise not_unique("name", f"{kind.singular} name is already used")

    def require_room(self, kind: type[Resource]) -> None:
        limit = catalog.IN_PROJECT[kind.kind]
        if len(self.records.all(kind)) >= limit:
            raise limit_exceeded(kind.kind, limit)

    def update(self, kind: type[R], ident: int, body: Body) -> Reply:
        """PUT: the fields that the body has; answers the resource."""
        resource = self.records.get(kind, ident)
        fields = body.model_dump(exclude_unset=True, exclude_none=True)
        if "name" in fields:
            self.require_new_name(kind, fields["name"], ident)
        updated, _ = self.records.change(resource, **fields)
        return self.shown(200, updated)

    def require_deletable(self, resource: Any) -> None:
        """Raises for what is protected or being worked on."""
        self.actions.require_unlocked(resource)
        if resource.protected:
            raise protected(resource.singular, resource.id)

    async def observe_power(self) -> None:
        """Machines go off by themselves: let the records say what the machines are."""
        settled = [server for server in self.records.all(Server) if self._is_settled(server)]
        running = await self.work.do(lambda: {each.id: self._runs(each) for each in settled})
        for server in self.records.all(Server):
            status = {True: "running", False: "off", None: server.status}[running.get(server.id)]
            if status != server.status and self._is_settled(server):
                self.records.change(server, status=status)

    def _is_settled(self, server: Server) -> bool:
        return server.status in ("running", "off") and not self.actions.is_locked(server)

    def _runs(self, server: Server) -> bool:
        return self.work.backend.is_running(server.id)
