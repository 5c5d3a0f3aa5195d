"""What all machines share: the public router, the carriers' namespace, and the way between them and this host.

This host's own settings and filters stay as they are: the router knows no way out but to machines, to carriers and
to this host's end of the link, and a table of rules of its own keeps everybody else off that link.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from localcloud.backend import BackendError
from localcloud.machines import namespaces
from localcloud.machines.commands import run
from localcloud.machines.firewall import API, METADATA
from localcloud.machines.wiring import PUBLIC_GATEWAY, ROUTER, Batch

INTERNET = "m2-internet"
CARRIERS = "192.0.2.0/24"
PUBLIC_POOL = "198.51.100.0/24"
HOST_LINK = "m2-host"
HOST_RANGE = "100.64.255.0/30"
HOST_TABLE = "m2_localcloud"
HOST_RULES = Path(__file__).parent / "files" / "host.nft"
ROUTER_ADDRESS = "100.64.255.2"


def host_link() -> Path:
    """Exists while the host's end of the link does."""
    return Path("/sys/class/net") / HOST_LINK


def owner() -> Path | None:
    """The state directory of the cloud that is up on this host; None when there is none, or only half of one."""
    try:
        label = (host_link() / "ifalias").read_text().strip()
    except FileNotFoundError:
        return None
    return Path(label) if label else None


def ensure(state: Path) -> None:
    """Makes it for the cloud of `state`; the label on this host's link comes last. One host has one cloud."""
    if owner() == state:
        return
    if other := owner():
        raise BackendError(f"another local cloud is up on this host, that of {other}; take it down first")
    _remove_half()
    _refuse_conflicts()
    namespaces.add_router(ROUTER, [PUBLIC_GATEWAY, METADATA])
    _connect_carriers()
    _connect_host()
    run(["ip", "link", "set", HOST_LINK, "alias", str(state)])


def unlink_host() -> None:
    """This host's routes go with the link, at once."""
    if host_link().exists():
        run(["ip", "link", "delete", HOST_LINK])
    if host_rules_exist():
        run(["nft", "delete", "table", "inet", HOST_TABLE])


def host_rules_exist() -> bool:
    return bool(shutil.which("nft")) and f"table inet {HOST_TABLE}\n" in run(["nft", "list", "tables"])


def _remove_half() -> None:
    unlink_host()
    namespaces.delete(INTERNET)
    namespaces.delete(ROUTER)


def _refuse_conflicts() -> None:
    for taken in (PUBLIC_POOL, HOST_RANGE):
        if routes := json.loads(run(["ip", "-json", "route", "show", "root", taken]) or "[]"):
            way = routes[0].get("dev", routes[0].get("type"))
            raise BackendError(
                f"this host has a route of its own to {routes[0]['dst']} ({way}), and the local cloud needs {taken}; "
                f"remove it with: ip route delete {routes[0]['dst']} dev {way}"
            )


def _connect_carriers() -> None:
    namespaces.add(INTERNET)
    lines = (
        f"link add internet type veth peer name eth0 netns {INTERNET}",
        "link set internet up",
        f"route add {CARRIERS} dev internet",
    )
    namespaces.batch(Batch(ROUTER, lines))
    lines = (
        "link set eth0 up",
        f"route add {PUBLIC_GATEWAY} dev eth0",
        f"route add default via {PUBLIC_GATEWAY} dev eth0",
    )
    namespaces.batch(Batch(INTERNET, lines))


def _connect_host() -> None:
    run(["nft", "-f", str(HOST_RULES)])
    run(["ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", "host", "netns", ROUTER])
    namespaces.batch(Batch(ROUTER, (f"addr add {ROUTER_ADDRESS}/30 dev host", "link set host up")))
    run(["ip", "address", "add", f"{API[0]}/30", "dev", HOST_LINK])
    run(["ip", "link", "set", HOST_LINK, "up"])
    run(["ip", "route", "add", PUBLIC_POOL, "via", ROUTER_ADDRESS, "dev", HOST_LINK, "src", API[0]])
