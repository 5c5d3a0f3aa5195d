"""The GUI on a server of its own, reading the backup database; its users open `url`."""

from __future__ import annotations

import pulumi

from components.host import Host, HostArgs


class GuiServer(Host):
    """The GUI server of a site."""

    TYPE = "m2:index:GuiServer"

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.url = pulumi.Output.concat("https://", self.public_ip, "/")
