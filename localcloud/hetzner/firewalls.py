"""Firewalls: rules for public traffic, applied to servers directly or through label selectors.

Inbound rules only: what `World` has no word for is refused, not ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

from localcloud.hetzner import catalog
from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, limit_exceeded, refused
from localcloud.hetzner.model import Action, Firewall, Protocol, Record, Rule, Server, Undo
from localcloud.hetzner.query import label_selector
from localcloud.hetzner.steps import rewire, step
from localcloud.hetzner.views import action_view
from localcloud.hetzner.world import applied_to, firewalls_of, primary_ip_of

HIGHEST_PORT = 65535
WITH_PORTS = ("tcp", "udp")


class RuleBody(Body):
    direction: Literal["in", "out"]
    protocol: Protocol
    port: str | None = None
    source_ips: tuple[str, ...] = ()
    destination_ips: tuple[str, ...] = ()
    description: str | None = None


class ServerRef(Body):
    id: int


class SelectorRef(Body):
    selector: str


class TargetBody(Body):
    type: Literal["server", "label_selector"]
    server: ServerRef | None = None
    label_selector: SelectorRef | None = None


class CreateFirewall(Body):
    name: Name
    labels: Labels = NO_LABELS
    rules: tuple[RuleBody, ...] | None = None
    apply_to: tuple[TargetBody, ...] | None = None


class UpdateFirewall(Body):
    name: Name | None = None
    labels: Labels | None = None


class SetRules(Body):
    rules: tuple[RuleBody, ...]


class ApplyTo(Body):
    apply_to: tuple[TargetBody, ...]


class RemoveFrom(Body):
    remove_from: tuple[TargetBody, ...]


@dataclass(frozen=True)
class Targets:
    """What a firewall is to be applied to, or removed from."""

    servers: tuple[Server, ...]
    selectors: tuple[str, ...]

    @property
    def records(self) -> list[tuple[Record, ...]]:
        """What each target's action relates to besides the firewall; a selector's servers may change."""
        return [(server,) for server in self.servers] + [() for _ in self.selectors]


def rules_of(bodies: Sequence[RuleBody]) -> tuple[Rule, ...]:
    """The rules, if the provider takes them; raises `invalid_input`."""
    if len(bodies) > catalog.RULES_IN_FIREWALL:
        raise invalid("rules", f"more than {catalog.RULES_IN_FIREWALL} rules")
    return tuple(_rule(body) for body in bodies)


def _rule(body: RuleBody) -> Rule:
    if body.direction == "out" or body.destination_ips:
        raise refused("unsupported_error", "this cloud filters inbound traffic only: it has no rules of direction out")
    if not 1 <= len(body.source_ips) <= catalog.SOURCES_IN_RULE:
        raise invalid("rules.source_ips", f"source_ips needs 1 to {catalog.SOURCES_IN_RULE} entries")
    return Rule(
        direction=body.direction,
        protocol=body.protocol,
        port=_port(body),
        source_ips=tuple(_source(source) for source in body.source_ips),
        description=body.description,
    )


def _source(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise invalid("rules.source_ips", str(error)) from None


def _port(body: RuleBody) -> str | None:
    if body.protocol not in WITH_PORTS:
        if body.port:
            raise invalid("rules.port", f"protocol {body.protocol} has no ports")
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", body.port or "")
    if body.port != "any":
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= low <= high <= HIGHEST_PORT:
            raise invalid("rules.port", f"'{body.port}' is not a port, a range of ports, or any")
    return body.port


def targets_of(cloud: Cloud, bodies: Sequence[TargetBody], status: int) -> Targets:
    """The targets; raises `firewall_resource_not_found` with this status for a server that there is not."""
    servers: list[Server] = []
    selectors: list[str] = []
    for body in bodies:
        if body.type == "server" and body.server:
            servers.append(_server(cloud, body.server.id, status))
        elif body.type == "label_selector" and body.label_selector:
            label_selector(body.label_selector.selector)
            selectors.append(body.label_selector.selector)
        else:
            raise invalid("apply_to", f"a resource of type {body.type} needs the key {body.type}")
    if len({server.id for server in servers}) < len(servers) or len(set(selectors)) < len(selectors):
        raise refused("server_already_added", "a resource is given more than once")
    return Targets(tuple(servers), tuple(selectors))


def _server(cloud: Cloud, ident: int, status: int) -> Server:
    server = cloud.records.find(Server, ident)
    if server is None:
        raise refused("firewall_resource_not_found", f"server with ID '{ident}' not found", status)
    return server


def require_protectable(cloud: Cloud, server: Server) -> None:
    """Raises for a server that one more firewall cannot be applied to."""
    snapshot = cloud.records.snapshot()
    if not any(primary_ip_of(snapshot, server, ip_type) for ip_type in ("ipv4", "ipv6")):
        raise refused("private_net_only_server", f"server '{server.name}' has no public interface")
    if len(firewalls_of(snapshot, server)) >= catalog.FIREWALLS_ON_SERVER:
        raise limit_exceeded("firewalls of a server", catalog.FIREWALLS_ON_SERVER)


def create(cloud: Cloud, body: CreateFirewall) -> Reply:
    cloud.require_room(Firewall)
    cloud.require_new_name(Firewall, body.name)
    targets = targets_of(cloud, body.apply_to or (), status=422)
    for server in targets.servers:
        require_protectable(cloud, server)
    firewall = cloud.records.put(
        Firewall(
            id=cloud.records.new_id(),
            created=now(),
            name=body.name,
            labels=body.labels,
            rules=rules_of(body.rules or ()),
            servers=tuple(server.id for server in targets.servers),
            selectors=targets.selectors,
        )
    )
    first = [_begin(cloud, "set_firewall_rules", firewall, (), [])] if firewall.rules else []
    actions = first + _each(cloud, "apply_firewall", firewall, targets, [], after=first)
    return cloud.shown(201, firewall, actions=[action_view(action) for action in actions])


def update(cloud: Cloud, ident: int, body: UpdateFirewall) -> Reply:
    cloud.actions.require_unlocked(cloud.records.get(Firewall, ident))
    return cloud.update(Firewall, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    firewall = cloud.records.get(Firewall, ident)
    cloud.actions.require_unlocked(firewall)
    if firewall.selectors or applied_to(cloud.records.snapshot(), firewall):
        raise refused("resource_in_use", f"firewall '{firewall.name}' is still applied to a resource")
    cloud.records.delete(firewall)
    return Reply(204)


def set_rules(cloud: Cloud, ident: int, body: SetRules) -> Reply:
    firewall = cloud.records.get(Firewall, ident)
    firewall, undo = cloud.records.change(firewall, rules=rules_of(body.rules))
    return _all_begun([_begin(cloud, "set_firewall_rules", firewall, (), [undo])])


def apply_to_resources(cloud: Cloud, ident: int, body: ApplyTo) -> Reply:
    firewall = cloud.records.get(Firewall, ident)
    targets = targets_of(cloud, body.apply_to, status=404)
    for server in targets.servers:
        if server.id in firewall.servers:
            raise refused("firewall_already_applied", f"firewall is already applied to server '{server.name}'")
        require_protectable(cloud, server)
    servers = (*firewall.servers, *(server.id for server in targets.servers))
    selectors = tuple(dict.fromkeys((*firewall.selectors, *targets.selectors)))
    firewall, undo = cloud.records.change(firewall, servers=servers, selectors=selectors)
    return _all_begun(_each(cloud, "apply_firewall", firewall, targets, [undo]))


def remove_from_resources(cloud: Cloud, ident: int, body: RemoveFrom) -> Reply:
    """Removing what is not there succeeds (changelog of 2025-08-04: no `firewall_already_removed` any more)."""
    firewall = cloud.records.get(Firewall, ident)
    targets = targets_of(cloud, body.remove_from, status=404)
    gone = {server.id for server in targets.servers}
    if any(ident not in firewall.servers for ident in gone & set(applied_to(cloud.records.snapshot(), firewall))):
        raise refused("firewall_managed_by_label_selector", "firewall is applied through a label selector")
    servers = tuple(ident for ident in firewall.servers if ident not in gone)
    selectors = tuple(each for each in firewall.selectors if each not in targets.selectors)
    firewall, undo = cloud.records.change(firewall, servers=servers, selectors=selectors)
    return _all_begun(_each(cloud, "remove_firewall", firewall, targets, [undo]))


def _begin(
    cloud: Cloud,
    command: str,
    firewall: Firewall,
    others: Iterable[Record],
    undo: Sequence[Undo],
    after: Action | None = None,
) -> Action:
    return cloud.actions.begin(command, [firewall, *others], [step(rewire)], locks=[firewall], undo=undo, after=after)


def _each(
    cloud: Cloud,
    command: str,
    firewall: Firewall,
    targets: Targets,
    undo: Sequence[Undo],
    after: Sequence[Action] = (),
) -> list[Action]:
    """One action a target, one after the other since each locks the firewall."""
    actions = list(after)
    for others in targets.records:
        actions.append(_begin(cloud, command, firewall, others, undo, actions[-1] if actions else None))
    return actions[len(after) :]


def _all_begun(actions: Sequence[Action]) -> Reply:
    return Reply(201, {"actions": [action_view(action) for action in actions]})


ENDPOINTS = (
    Endpoint("POST", "/firewalls", create, CreateFirewall),
    Endpoint("PUT", "/firewalls/{id}", update, UpdateFirewall),
    Endpoint("DELETE", "/firewalls/{id}", delete),
    Endpoint("POST", "/firewalls/{id}/actions/set_rules", set_rules, SetRules),
    Endpoint("POST", "/firewalls/{id}/actions/apply_to_resources", apply_to_resources, ApplyTo),
    Endpoint("POST", "/firewalls/{id}/actions/remove_from_resources", remove_from_resources, RemoveFrom),
)
