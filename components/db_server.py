"""A database on its own: clients reach it at `address`, and nothing takes over for it."""

from __future__ import annotations

import pulumi

from components.host import Host, HostArgs


class DbServer(Host):
    """The one database of a site, with whatever else runs on its host."""

    TYPE = "m2:index:DbServer"

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.address = args.plan.private_ip
