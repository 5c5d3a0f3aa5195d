"""Two hosts, their roles, and the addresses that move between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pulumi

from components.host import Host, HostArgs
from components.plan import HostPlan
from components.site import Site


@dataclass(frozen=True)
class PairArgs:
    """`main` and `backup` as configured; which of them holds an address is never Pulumi's."""

    site: Site
    main: HostPlan
    backup: HostPlan


class Pair(pulumi.ComponentResource):
    """Two hosts in an order: the backup's server is touched after the main's, so never both at once."""

    TYPE: ClassVar[str] = "m2:index:Pair"

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.TYPE, name, None, opts)
        self.main = self._host(HostArgs(args.site, args.main))
        self.backup = self._host(HostArgs(args.site, args.backup, after=[self.main.server]))

    def _host(self, args: HostArgs) -> Host:
        return Host(f"{args.site.name}-{args.plan.name}", args, pulumi.ResourceOptions(parent=self))
