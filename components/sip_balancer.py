"""Two SIP balancers; carriers reach the holder at `address`, cores at `private_address`."""

from __future__ import annotations

import pulumi

from components.pair import Pair, PairArgs


class SipBalancer(Pair):
    """The balancer pair of a site."""

    TYPE = "m2:index:SipBalancer"

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.address = args.site.vip("sip").advertise
        self.private_address = args.site.vip("sip-private").advertise
        self.register_outputs({"address": self.address, "private_address": self.private_address})
