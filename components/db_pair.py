"""Two databases, main and backup, with whatever else runs on their hosts; the holder has all of `addresses`."""

from __future__ import annotations

import pulumi

from components.pair import Pair, PairArgs


class DbPair(Pair):
    """The database pair of a site."""

    TYPE = "m2:index:DbPair"

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.addresses = {vip.name: args.site.vip(vip.name).advertise for vip in args.site.plan.vips_of(args.main)}
        self.address = self.addresses["database"]
        self.register_outputs({"address": self.address, "addresses": self.addresses})
