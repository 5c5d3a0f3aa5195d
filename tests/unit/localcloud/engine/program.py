"""A program for both engines: everything that the project's own program uses of a cloud."""

import pulumi
import pulumi_hcloud as hcloud
from pulumi_command import local, remote

config = pulumi.Config()
env = config.get("env") or "test"
protect = config.get_bool("protect") or False
ssh = config.require_object("ssh")


def ask(args: pulumi.ResourceHookArgs) -> None:
    pulumi.log.info(f"{args.name} may change")


class Site(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("m2:index:Site", name)
        self.opts = pulumi.ResourceOptions(parent=self)
        self.kept = pulumi.ResourceOptions(parent=self, protect=protect)
        self.labels = {"env": env, "stack": pulumi.get_stack()}
        self.hooks = None
        if config.get_bool("hooks"):
            hook = pulumi.ResourceHook("ask", ask)
            self.hooks = pulumi.ResourceHookBinding(before_update=[hook], before_delete=[hook])
        self.share()
        self.servers: list[hcloud.Server] = []
        for index in range(config.get_int("servers") or 2):
            self.add(index)
        self.register_outputs({"address": self.address.ip_address, "first": self.servers[0]})

    def share(self) -> None:
        name, labels, opts = "m2-engine", self.labels, self.opts
        self.key = hcloud.SshKey("key", name=name, public_key=config.require("publicKey"), labels=labels, opts=opts)
        self.network = hcloud.Network("network", name=name, ip_range="10.0.0.0/16", labels=labels, opts=opts)
        self.subnet = hcloud.NetworkSubnet(
            "subnet",
            network_id=self.network.id.apply(int),
            type="cloud",
            network_zone="eu-central",
            ip_range="10.0.1.0/24",
            opts=opts,
        )
        self.group = hcloud.PlacementGroup("group", name=name, type="spread", labels=labels, opts=opts)
        self.firewall = hcloud.Firewall("firewall", name=name, labels=labels, rules=self.rules(), opts=opts)
        self.address = hcloud.FloatingIp(
            "address",
            name=name,
            type="ipv4",
            home_location="fsn1",
            description="moves",
            labels=labels,
            delete_protection=protect,
            opts=self.kept,
        )

    def rules(self) -> list[hcloud.FirewallRuleArgs]:
        ssh_rule = hcloud.FirewallRuleArgs(
            direction="in", protocol="tcp", port="22", source_ips=["192.0.2.0/24", "::/0"], description="ssh"
        )
        ping = hcloud.FirewallRuleArgs(direction="in", protocol="icmp", source_ips=["0.0.0.0/0"])
        return [ssh_rule, ping] if config.get_bool("rule") else [ssh_rule]

    def add(self, index: int) -> None:
        name, labels = f"m2-engine-{index}", {**self.labels, "n": str(index)}
        ip = hcloud.PrimaryIp(
            f"ip-{index}",
            name=name,
            type="ipv4",
            location="fsn1",
            auto_delete=False,
            labels=labels,
            delete_protection=protect,
            opts=self.kept,
        )
        server = hcloud.Server(
            f"server-{index}",
            name=name,
            server_type=config.get("type") or "cx23",
            image="debian-12",
            location="fsn1",
            ssh_keys=[self.key.id],
            user_data=pulumi.Output.secret(f"#cloud-config\n# {config.get('userData') or 'a'}\n"),
            placement_group_id=self.group.id.apply(int),
            firewall_ids=[self.firewall.id.apply(int)],
            public_nets=[hcloud.ServerPublicNetArgs(ipv4_enabled=True, ipv4=ip.id.apply(int), ipv6_enabled=False)],
            labels=labels,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=self.servers[-1:],
                ignore_changes=["image", "sshKeys", "userData"],
                replacement_trigger=config.get_int("rebuild") or 0 if index == 0 else 0,
                delete_before_replace=True,
                hooks=self.hooks,
            ),
        )
        self.servers.append(server)
        self.furnish(index, server, labels)

    def furnish(self, index: int, server: hcloud.Server, labels: dict[str, str]) -> None:
        nic = hcloud.ServerNetwork(
            f"nic-{index}",
            server_id=server.id.apply(int),
            network_id=self.network.id.apply(int),
            ip=f"10.0.1.{10 + index}",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.subnet]),
        )
        volume = hcloud.Volume(
            f"volume-{index}",
            name=f"m2-engine-{index}",
            size=config.get_int("size") or 10,
            location="fsn1",
            format="ext4",
            labels=labels,
            delete_protection=protect,
            opts=self.kept,
        )
        attachment = hcloud.VolumeAttachment(
            f"attachment-{index}",
            volume_id=volume.id.apply(int),
            server_id=server.id.apply(int),
            automount=False,
            opts=self.opts,
        )
        self.apply(index, server, [nic, attachment])

    def apply(self, index: int, server: hcloud.Server, ready: list[pulumi.Resource]) -> None:
        files = f"# /etc/a=1\n# /etc/b={config.get('file') or 'a'}"
        connection = remote.ConnectionArgs(
            host="127.0.0.1",
            port=ssh["port"],
            user="admin",
            private_key=ssh["privateKey"],
            host_key=ssh["hostKey"],
            dial_error_limit=3,
            per_dial_timeout=5,
        )
        remote.Command(
            f"apply-{index}",
            connection=connection,
            create=f"cat >/dev/null; echo applied\n{files}",
            stdin=pulumi.Output.secret("bundle"),
            triggers=[server.id],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )


site = Site("site")
here = local.Command("here", create="echo $ENV", environment={"ENV": env}, delete="true")
pulumi.export("address", site.address.ip_address)
pulumi.export("here", here.stdout)
pulumi.export("token", pulumi.Output.secret("s3cret"))
pulumi.export("servers", [server.ipv4_address for server in site.servers])
