"""A second program for both engines: aliases, import, reading, other stacks, names that are made, secrets."""

import pulumi
import pulumi_hcloud as hcloud
from pulumi_command import local

config = pulumi.Config()
renamed = config.get_bool("renamed") or False


def formerly(name: str) -> list[pulumi.Alias | str]:
    return [pulumi.Alias(name=name)] if renamed else []


class Site(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("m2:index:Site", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        self.group = hcloud.PlacementGroup(f"{name}-group", type="spread", opts=own)
        self.volume = hcloud.Volume("volume", size=10, location="fsn1", opts=own)
        self.register_outputs({"group": self.group.name})


site = Site("new" if renamed else "old", pulumi.ResourceOptions(aliases=formerly("old")))
network = hcloud.Network(
    "net-2" if renamed else "net-1",
    name="m2-options",
    ip_range="10.9.0.0/16",
    opts=pulumi.ResourceOptions(protect=config.get_bool("protect") or False, aliases=formerly("net-1")),
)
subnet = hcloud.NetworkSubnet(
    "subnet",
    network_id=network.id.apply(int),
    type="cloud",
    network_zone="eu-central",
    ip_range="10.9.1.0/24",
    opts=pulumi.ResourceOptions(retain_on_delete=True),
)
key = hcloud.SshKey(
    "key",
    public_key=config.require("publicKey"),
    opts=pulumi.ResourceOptions(additional_secret_outputs=["fingerprint"], delete_before_replace=True),
)
address = hcloud.FloatingIp(
    "address",
    name="made-by-hand",
    type="ipv4",
    home_location="fsn1",
    description="by hand",
    opts=pulumi.ResourceOptions(import_=config.require("address"), retain_on_delete=True),
)
other = pulumi.StackReference("organization/m2/other")
replaced = local.Command(
    "replaced",
    create=f"echo {renamed}",
    opts=pulumi.ResourceOptions(replace_on_changes=["create"]),
)
given = local.Command("given", create="cat", stdin=pulumi.Output.secret("pw"), interpreter=["/bin/sh", "-c"])
cascade = local.Command("cascade", create=pulumi.Output.concat("echo ", site.group.name, " ", key.fingerprint))

pulumi.export("group", site.group.name)
pulumi.export("cores", hcloud.get_server_type_output(name="cx23").cores)
if config.get("firewall"):
    pulumi.export("firewall", hcloud.Firewall.get("firewall", config.require("firewall")).name)
pulumi.export("open", other.get_output("open"))
pulumi.export("token", other.require_output("token"))
pulumi.export("fingerprint", key.fingerprint)
pulumi.export("given", given.stdout)
pulumi.export("list", [1, 2.5, None, {"a": True}])
