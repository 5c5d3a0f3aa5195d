"""What the network between machines should be, from the records alone. Pure."""

from __future__ import annotations

from ipaddress import ip_network

from localcloud.backend import Attachment, FirewallRule, Loss, Place, PrivateNetwork, PrivateNic, World
from localcloud.hetzner.faults import LinkFault, Spec
from localcloud.hetzner.model import Firewall, PrimaryIp, Rule, Server
from localcloud.hetzner.query import label_selector
from localcloud.hetzner.records import Snapshot


def build_world(snapshot: Snapshot) -> World:
    """A world for the backend; IPv6 is kept in the records only."""
    return World(
        attachments=tuple(_attachment(snapshot, server) for server in snapshot.servers),
        networks=tuple(
            PrivateNetwork(
                network.id,
                network.ip_range,
                tuple((route.destination, route.gateway) for route in network.routes),
            )
            for network in snapshot.networks
        ),
        floating=tuple(
            (floating.ip, floating.server)
            for floating in snapshot.floating_ips
            if floating.server is not None and floating.type == "ipv4"
        ),
        inbound=tuple(
            (server.id, tuple(rule for firewall in firewalls for rule in inbound_rules(firewall)))
            for server in snapshot.servers
            if (firewalls := firewalls_of(snapshot, server))
        ),
        losses=tuple(loss for fault in snapshot.faults for loss in _losses(snapshot, fault.spec)),
    )


def _attachment(snapshot: Snapshot, server: Server) -> Attachment:
    public = primary_ip_of(snapshot, server, "ipv4")
    nics = tuple(PrivateNic(nic.network, nic.ip, nic.alias_ips, nic.mac) for nic in server.nics)
    return Attachment(server.id, public.ip if public else None, nics)


def _losses(snapshot: Snapshot, spec: Spec) -> list[Loss]:
    """None while a server that the fault names is not there."""
    if not isinstance(spec, LinkFault):
        return []
    places: dict[str, Place] = {server.name: server.id for server in snapshot.servers}
    places |= {"api": "api", "everything": "everything"}
    if spec.source not in places or spec.destination not in places:
        return []
    source, destination = places[spec.source], places[spec.destination]
    back = [Loss(destination, source, spec.percent)] if spec.both_ways else []
    return [Loss(source, destination, spec.percent), *back]


def primary_ip_of(snapshot: Snapshot, server: Server, ip_type: str) -> PrimaryIp | None:
    for ip in snapshot.primary_ips:
        if ip.assignee_id == server.id and ip.type == ip_type:
            return ip
    return None


def firewalls_of(snapshot: Snapshot, server: Server) -> list[Firewall]:
    """Firewalls applied to the server itself or through a label selector."""
    return [firewall for firewall in snapshot.firewalls if server.id in applied_to(snapshot, firewall)]


def applied_to(snapshot: Snapshot, firewall: Firewall) -> list[int]:
    """IDs of the servers that a firewall protects."""
    selected = (server.id for selector in firewall.selectors for server in selected_by(snapshot, selector))
    return sorted({*firewall.servers, *selected})


def selected_by(snapshot: Snapshot, selector: str) -> list[Server]:
    matches = label_selector(selector)
    return [server for server in snapshot.servers if matches(server.labels)]


def inbound_rules(firewall: Firewall) -> list[FirewallRule]:
    """The rules for IPv4; one without an IPv4 source lets nothing in and is left out."""
    return [
        FirewallRule(rule.protocol, _ports(rule), sources) for rule in firewall.rules if (sources := _sources(rule))
    ]


def _ports(rule: Rule) -> str | None:
    return None if rule.port == "any" else rule.port


def _sources(rule: Rule) -> tuple[str, ...]:
    return tuple(source for source in rule.source_ips if ip_network(source).version == 4)
