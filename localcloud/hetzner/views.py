"""Records as the objects of the provider's replies. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from localcloud.hetzner import catalog
from localcloud.hetzner.addresses import gateway_of
from localcloud.hetzner.faults import stock_of
from localcloud.hetzner.model import (
    Action,
    Firewall,
    FloatingIp,
    Network,
    Nic,
    PlacementGroup,
    PrimaryIp,
    Resource,
    Rule,
    Server,
    SshKey,
    Volume,
)
from localcloud.hetzner.records import Snapshot
from localcloud.hetzner.world import firewalls_of, primary_ip_of, selected_by

View = dict[str, Any]


def action_view(action: Action) -> View:
    return action.model_dump(
        include={"id", "command", "status", "progress", "started", "finished", "resources", "error"}
    )


def _named(record: Resource) -> View:
    return {"id": record.id, "name": record.name, "labels": record.labels, "created": record.created}


def ssh_key_view(snapshot: Snapshot, key: SshKey) -> View:
    return {**_named(key), "public_key": key.public_key, "fingerprint": key.fingerprint}


def network_view(snapshot: Snapshot, network: Network) -> View:
    gateway = str(gateway_of(network))
    return {
        **_named(network),
        "ip_range": network.ip_range,
        "subnets": [{**subnet.model_dump(), "gateway": gateway, "vswitch_id": None} for subnet in network.subnets],
        "routes": [route.model_dump() for route in network.routes],
        "servers": [server.id for server in snapshot.servers if any(nic.network == network.id for nic in server.nics)],
        "load_balancers": [],
        "protection": {"delete": network.protected},
        "expose_routes_to_vswitch": network.expose_routes_to_vswitch,
    }


def placement_group_view(snapshot: Snapshot, group: PlacementGroup) -> View:
    members = [server.id for server in snapshot.servers if server.placement_group == group.id]
    return {**_named(group), "type": group.type, "servers": members}


def rule_view(rule: Rule) -> View:
    return {**rule.model_dump(mode="json"), "destination_ips": []}


def firewall_view(snapshot: Snapshot, firewall: Firewall) -> View:
    direct = [{"type": "server", "server": {"id": ident}} for ident in firewall.servers]
    selected = [
        {
            "type": "label_selector",
            "label_selector": {"selector": selector},
            "applied_to_resources": [
                {"type": "server", "server": {"id": server.id}} for server in selected_by(snapshot, selector)
            ],
        }
        for selector in firewall.selectors
    ]
    return {
        **_named(firewall),
        "rules": [rule_view(rule) for rule in firewall.rules],
        "applied_to": direct + selected,
    }


def _dns_view(dns_ptr: dict[str, str]) -> list[View]:
    return [{"ip": ip, "dns_ptr": name} for ip, name in dns_ptr.items()]


def primary_ip_view(snapshot: Snapshot, ip: PrimaryIp) -> View:
    return {
        **_named(ip),
        "type": ip.type,
        "ip": ip.ip,
        "dns_ptr": _dns_view(ip.dns_ptr),
        "assignee_id": ip.assignee_id,
        "assignee_type": "server" if ip.assignee_id is not None else "unassigned",
        "auto_delete": ip.auto_delete,
        "blocked": False,
        "location": catalog.location_view(catalog.location_named(ip.location)),
        "protection": {"delete": ip.protected},
    }


def floating_ip_view(snapshot: Snapshot, ip: FloatingIp) -> View:
    return {
        **_named(ip),
        "description": ip.description,
        "type": ip.type,
        "ip": ip.ip,
        "dns_ptr": _dns_view(ip.dns_ptr),
        "server": ip.server,
        "blocked": False,
        "home_location": catalog.location_view(catalog.location_named(ip.home_location)),
        "protection": {"delete": ip.protected},
    }


def volume_view(snapshot: Snapshot, volume: Volume) -> View:
    return {
        **_named(volume),
        "size": volume.size,
        "format": volume.format,
        "location": catalog.location_view(catalog.location_named(volume.location)),
        "server": volume.server,
        "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}",
        "status": volume.status,
        "protection": {"delete": volume.protected},
    }


def server_view(snapshot: Snapshot, server: Server, locked: Collection[int] = ()) -> View:
    """`locked` are the IDs of servers that an action works on."""
    server_type = catalog.server_type_named(server.server_type)
    group = next((group for group in snapshot.placement_groups if group.id == server.placement_group), None)
    return {
        **_named(server),
        "status": server.status,
        "server_type": catalog.server_type_view(server_type, stock_of(snapshot.faults, server_type.name)),
        "image": catalog.image_view(catalog.image_named(server.image)),
        "location": catalog.location_view(catalog.location_named(server.location)),
        "primary_disk_size": server.disk,
        "public_net": _public_net(snapshot, server),
        "private_net": [_private_net(nic) for nic in server.nics],
        "placement_group": placement_group_view(snapshot, group) if group else None,
        "volumes": [volume.id for volume in snapshot.volumes if volume.server == server.id],
        "load_balancers": [],
        "locked": server.id in locked,
        "protection": {"delete": server.protected, "rebuild": server.protected},
        "rescue_enabled": False,
        "iso": None,
        "backup_window": server.backup_window,
        "included_traffic": catalog.server_type_prices(server_type)[0]["included_traffic"],
        "ingoing_traffic": 0,
        "outgoing_traffic": 0,
    }


def _public_net(snapshot: Snapshot, server: Server) -> View:
    ipv4, ipv6 = (primary_ip_of(snapshot, server, ip_type) for ip_type in ("ipv4", "ipv6"))
    return {
        "ipv4": ipv4 and {"id": ipv4.id, "ip": ipv4.ip, "blocked": False, "dns_ptr": ipv4.dns_ptr.get(ipv4.ip, "")},
        "ipv6": ipv6 and {"id": ipv6.id, "ip": ipv6.ip, "blocked": False, "dns_ptr": _dns_view(ipv6.dns_ptr)},
        "floating_ips": [ip.id for ip in snapshot.floating_ips if ip.server == server.id],
        "firewalls": [{"id": firewall.id, "status": "applied"} for firewall in firewalls_of(snapshot, server)],
    }


def _private_net(nic: Nic) -> View:
    return {
        "network": nic.network,
        "ip": nic.ip,
        "alias_ips": list(nic.alias_ips),
        "mac_address": nic.mac,
    }
