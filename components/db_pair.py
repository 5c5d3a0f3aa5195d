"""Two databases, main and backup; clients reach the holder at `address`."""

from __future__ import annotations

import pulumi

from components.pair import Pair, PairArgs


class DbPair(Pair):
    """The database pair of a site."""

    TYPE = "m2:index:DbPair"

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.address = args.site.vip("database").advertise
        self.register_outputs({"address": self.address})
