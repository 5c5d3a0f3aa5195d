"""A core: it takes calls from the balancers and relays their media on its own public address."""

from __future__ import annotations

from components.host import Host


class CoreNode(Host):
    """One core of a site; carriers send media to its `public_ip`."""

    TYPE = "m2:index:CoreNode"
