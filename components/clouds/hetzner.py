"""Hetzner Cloud through pulumi-hcloud.

Designed around what the provider does: inline networks, a changed image and changed user-data replace servers, so
networks are attached by ServerNetwork, those properties are ignored, and `replacement_trigger`, which always has a
value, is the only way to replace a server. Assignments of floating IPs and routes are no resources: the mover's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_hcloud as hcloud

from components.clouds import Address, HostSpec, Machine, MovingAddress, Network, Scope, Settled, hetzner_stock
from components.openings import Opening
from components.plan import HostPlan, Platform, SitePlan, VipPlan

NETWORK_ZONES = {
    "fsn1": "eu-central",
    "nbg1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
"""docs.hetzner.com, Cloud, "Locations"."""

ENDPOINT = "https://api.hetzner.cloud/v1"
TOKEN_LENGTH = 64
PLACEMENT_LIMIT = 10
"""docs.hetzner.cloud, limits of placement groups."""

IGNORED = ["image", "sshKeys", "userData"]


@dataclass(frozen=True)
class Hetzner:
    """Hetzner Cloud. `endpoint` and `token` are those that the mover uses on the hosts."""

    token: str
    endpoint: str = ENDPOINT

    def platform(self, plan: SitePlan) -> Platform:
        return Platform(
            cloud="hetzner",
            data_disk="/dev/disk/by-id/scsi-0HC_Volume_*",
            endpoint=self.endpoint,
            token=self.token,
            moves={vip.name: _move(plan, vip) for vip in plan.vips},
        )

    def problems(self, plan: SitePlan) -> list[str]:
        """Nothing is asked of the API."""
        return [*_region_problems(plan), *_placement_problems(plan)]

    def settle(self, plan: SitePlan) -> Settled:
        try:
            return hetzner_stock.settle(plan, hetzner_stock.read(self.token, self.endpoint, plan))
        except hetzner_stock.StockError as error:
            return hetzner_stock.unread(plan, error)

    def site(self, scope: Scope) -> HetznerSite:
        return HetznerSite(scope)

    def account_problems(self) -> list[str]:
        if len(self.token) == TOKEN_LENGTH:
            return []
        return [
            f"hcloud:token: has {len(self.token)} characters; allowed: an API token of {TOKEN_LENGTH} characters; "
            "set it with `pulumi config set --secret hcloud:token` or in HCLOUD_TOKEN"
        ]


class HetznerSite:
    """One site's resources in one Hetzner project."""

    def __init__(self, scope: Scope) -> None:
        self._name = scope.name
        self._plan = scope.plan
        self._protection = scope.protection
        self._opts = pulumi.ResourceOptions(parent=scope.parent)
        self._firewalls: dict[tuple[Opening, ...], hcloud.Firewall] = {}
        self._placements: dict[str, hcloud.PlacementGroup] = {}

    def network(self) -> Network:
        network = hcloud.Network(
            f"{self._name}-network",
            name=self._plan.stack,
            ip_range=self._plan.network,
            labels=self._protection.stack_labels,
            opts=self._opts,
        )
        subnet = hcloud.NetworkSubnet(
            f"{self._name}-subnet",
            network_id=network.id.apply(int),
            type="cloud",
            network_zone=NETWORK_ZONES[self._plan.region],
            ip_range=self._plan.subnet,
            opts=self._opts,
        )
        return Network(network.id.apply(int), (subnet,))

    def address(self, host: HostPlan) -> Address:
        fleeting = host.roles == ("core",)
        guard = self._protection.asked_for if fleeting else self._protection.kept
        ip = hcloud.PrimaryIp(
            f"{self._name}-{host.name}-ip",
            name=self._plan.cloud_name(host.name),
            type="ipv4",
            location=self._plan.region,
            auto_delete=False,
            delete_protection=self._plan.protected and not fleeting,
            labels=self._protection.labels(host),
            opts=guard(self._opts),
        )
        return Address(ip.id.apply(int), ip.ip_address, ip.ip_address)

    def moving_address(self, vip: VipPlan) -> MovingAddress:
        if vip.ip is not None:
            return MovingAddress(pulumi.Output.from_input(vip.ip), pulumi.Output.from_input(vip.ip))
        floating = hcloud.FloatingIp(
            f"{self._name}-{vip.name}-ip",
            name=self._plan.cloud_name(vip.name),
            type="ipv4",
            home_location=self._plan.region,
            description=f"{vip.name} of {self._plan.stack}: assigned by the hosts, not by Pulumi",
            delete_protection=self._plan.protected,
            labels=self._protection.stack_labels,
            opts=self._protection.kept(self._opts),
        )
        return MovingAddress(floating.ip_address, floating.ip_address)

    def login_key(self, public_key: str) -> pulumi.Output[Any]:
        key = hcloud.SshKey(
            f"{self._name}-login-key",
            name=self._plan.stack,
            public_key=public_key,
            labels=self._protection.stack_labels,
            opts=self._opts,
        )
        return key.id

    def host(self, spec: HostSpec, network: Network, address: Address, openings: Sequence[Opening]) -> Machine:
        host = spec.plan
        opts = pulumi.ResourceOptions(parent=spec.parent)
        server = self._server(spec, address, openings)
        server_id = server.id.apply(int)
        nic = hcloud.ServerNetwork(
            f"{self._name}-{host.name}-network",
            server_id=server_id,
            network_id=network.id,
            ip=host.private_ip,
            opts=_after(opts, network.ready),
        )
        disks = self._data_disk(host, server_id, opts) if host.data_disk_gb else ()
        return Machine(server.id, address.advertise, server, (nic, *disks))

    def _server(self, spec: HostSpec, address: Address, openings: Sequence[Opening]) -> hcloud.Server:
        host = spec.plan
        opts = pulumi.ResourceOptions(
            parent=spec.parent,
            depends_on=list(spec.after),
            ignore_changes=IGNORED,
            replacement_trigger=host.rebuild,
            delete_before_replace=True,
        )
        return hcloud.Server(
            f"{self._name}-{host.name}",
            name=self._plan.cloud_name(host.name),
            server_type=host.server_type,
            image=host.image,
            location=self._plan.region,
            ssh_keys=[spec.login_key],
            user_data=spec.user_data,
            placement_group_id=self._placement(host.placement).id.apply(int),
            firewall_ids=[self._firewall(host, openings).id.apply(int)],
            public_nets=[hcloud.ServerPublicNetArgs(ipv4_enabled=True, ipv4=address.id, ipv6_enabled=False)],
            labels=self._protection.labels(host),
            opts=_asking(self._protection.asked_for(opts), spec.hooks),
        )

    def _data_disk(
        self, host: HostPlan, server_id: pulumi.Output[int], opts: pulumi.ResourceOptions
    ) -> tuple[pulumi.Resource, ...]:
        volume = hcloud.Volume(
            f"{self._name}-{host.name}-data",
            name=self._plan.cloud_name(f"{host.name}-data"),
            size=host.data_disk_gb,
            location=self._plan.region,
            format="ext4",
            delete_protection=self._plan.protected,
            labels=self._protection.labels(host),
            opts=self._protection.kept(opts),
        )
        attachment = hcloud.VolumeAttachment(
            f"{self._name}-{host.name}-data-attachment",
            volume_id=volume.id.apply(int),
            server_id=server_id,
            automount=False,
            opts=opts,
        )
        return (attachment,)

    def _placement(self, name: str) -> hcloud.PlacementGroup:
        if name not in self._placements:
            self._placements[name] = hcloud.PlacementGroup(
                f"{self._name}-{name}-placement",
                name=self._plan.cloud_name(name),
                type="spread",
                labels=self._protection.stack_labels,
                opts=self._opts,
            )
        return self._placements[name]

    def _firewall(self, host: HostPlan, openings: Sequence[Opening]) -> hcloud.Firewall:
        public = tuple(o for o in openings if o.scope == "public")
        if public not in self._firewalls:
            name = "-".join(host.roles)
            self._firewalls[public] = hcloud.Firewall(
                f"{self._name}-{name}-firewall",
                name=self._plan.cloud_name(name),
                rules=[_rule(o) for o in public],
                labels=self._protection.stack_labels,
                opts=self._opts,
            )
        return self._firewalls[public]


def _region_problems(plan: SitePlan) -> list[str]:
    if plan.region in NETWORK_ZONES:
        return []
    return [f"region: {plan.region!r} is no Hetzner location; allowed: {', '.join(NETWORK_ZONES)}"]


def _placement_problems(plan: SitePlan) -> list[str]:
    sizes = Counter(host.placement for host in plan.hosts)
    return [
        f"placement {name}: {size} hosts; Hetzner allows {PLACEMENT_LIMIT} in a placement group"
        for name, size in sizes.items()
        if size > PLACEMENT_LIMIT
    ]


def _move(plan: SitePlan, vip: VipPlan) -> dict[str, str]:
    if vip.exists:
        return {"kind": "floating_ip", "ip": str(vip.ip)}
    if vip.scope == "public":
        return {"kind": "floating_ip", "name": plan.cloud_name(vip.name)}
    return {"kind": "route", "network": plan.stack, "destination": f"{vip.ip}/32"}


def _after(opts: pulumi.ResourceOptions, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(resources)))


def _asking(opts: pulumi.ResourceOptions, hooks: pulumi.ResourceHookBinding | None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks)) if hooks else opts


def _rule(opening: Opening) -> hcloud.FirewallRuleArgs:
    return hcloud.FirewallRuleArgs(
        direction="in",
        protocol=opening.protocol,
        port=opening.ports,
        source_ips=list(opening.sources),
        description=f"{opening.at} {opening.protocol} {opening.ports or ''}".strip(),
    )
