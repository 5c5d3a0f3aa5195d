"""Tells Kamailio and the kernel who the carriers are: those of the stack file and those of the database.

The database's are kept on disk: neither a restart nor a database that is away makes a carrier a stranger.

    carriers.py            look at the database every few seconds, for ever
    carriers.py --once     only write what is known; Kamailio needs its list before it starts
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path
from typing import Any

import pymysql

CONFIG = Path("/etc/m2/carriers.json")
STATE = Path("/var/lib/m2/carriers")
PAUSE = 5.0
DEADLINE = 5
WIDEST = 16
"""No single row of a table lets half of the internet make calls."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
CERTIFICATE_NAME = re.compile(r"(?=.{4,64}$)[a-z0-9-]+(\.[a-z0-9-]+)+")

log = logging.getLogger("carriers")


@dataclass(frozen=True)
class Carrier:
    """`identities` are IPv4 networks and names in TLS certificates; `cps` is 0 without a limit."""

    name: str
    identities: tuple[str, ...]
    cps: int = 0


def accepted(rows: Iterable[tuple[str, str, int]]) -> list[Carrier]:
    """Carriers of the database's rows (name, identity, cps); a row that is wrong is told and left out."""
    found = []
    for name, identity, cps in rows:
        if NAME.fullmatch(name) and cps >= 0 and (_network(identity) or CERTIFICATE_NAME.fullmatch(identity)):
            found.append(Carrier(name, (identity,), cps))
        else:
            log.error(
                "m2.carriers: %r, %r is ignored; allowed: a name of a-z, 0-9 and -, and a network of /%d to /32 or the "
                "name in a TLS certificate",
                name,
                identity,
                WIDEST,
            )
    return found


def address_list(config: dict[str, Any], carriers: Iterable[Carrier]) -> str:
    """Kamailio's address file: group, address, mask, port, tag."""
    lines = [f"2 {_fields(config['cores'])} 0 core", *(f"3 {address} 32 0 pair" for address in config["pair"])]
    for carrier in carriers:
        lines += [_line(carrier, identity) for identity in carrier.identities]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def kernel_set(carriers: Iterable[Carrier]) -> str:
    """nft commands that exempt the carriers' networks from the limits on strangers."""
    networks = (_network(identity) for carrier in carriers for identity in carrier.identities)
    elements = ", ".join(str(network) for network in collapse_addresses(filter(None, networks)))
    fill = ["add element inet m2_flood carriers {", elements, "}"] if elements else []
    return f"flush set inet m2_flood carriers\n{' '.join(fill)}\n"


def _line(carrier: Carrier, identity: str) -> str:
    tag = f"{carrier.name}/{carrier.cps}"
    return f"1 {_fields(identity)} 0 {tag}" if _network(identity) else f"4 {identity} 32 0 {tag}"


def _fields(network: str) -> str:
    address, _, length = network.partition("/")
    return f"{address} {length or 32}"


def _network(identity: str) -> IPv4Network | None:
    try:
        network = IPv4Network(identity)
    except ValueError:
        return None
    return network if network.prefixlen >= WIDEST else None


def in_stack_file(config: dict[str, Any]) -> list[Carrier]:
    """Those that need no database; settings have checked them."""
    return [Carrier(**{**entry, "identities": tuple(entry["identities"])}) for entry in config["carriers"]]


def in_database(settings: dict[str, Any]) -> list[Carrier]:
    """What the table says now. Raises pymysql.MySQLError."""
    connection = pymysql.connect(
        **settings,
        ssl_verify_cert=True,
        ssl_verify_identity=True,
        connect_timeout=DEADLINE,
        read_timeout=DEADLINE,
        write_timeout=DEADLINE,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, identity, cps FROM carriers ORDER BY name, identity")
        return accepted(cursor.fetchall())


def remembered() -> list[Carrier]:
    """What the database said last."""
    cache = STATE / "database.json"
    if not cache.exists():
        return []
    return [Carrier(**{**entry, "identities": tuple(entry["identities"])}) for entry in json.loads(cache.read_text())]


def remember(carriers: Iterable[Carrier]) -> None:
    """Keep them for the time without a database."""
    _replace(STATE / "database.json", json.dumps([asdict(carrier) for carrier in carriers]))


def publish(config: dict[str, Any], carriers: list[Carrier]) -> bool:
    """Write Kamailio's list; whether it has changed."""
    return _replace(STATE / "address.list", address_list(config, carriers))


def reload(carriers: list[Carrier]) -> None:
    """Make Kamailio and the kernel use the list; a Kamailio that is not up reads it when it starts."""
    subprocess.run(["nft", "-f", "-"], input=kernel_set(carriers), text=True, check=True, timeout=DEADLINE)
    subprocess.run(["kamcmd", "permissions.addressReload"], capture_output=True, check=False, timeout=DEADLINE)


def _replace(path: Path, content: str) -> bool:
    if path.exists() and path.read_text() == content:
        return False
    fresh = path.with_suffix(".new")
    fresh.write_text(content)
    fresh.replace(path)
    return True


def follow(config: dict[str, Any]) -> Iterator[None]:
    """One look at the database a turn, told only when something is new."""
    ours, theirs, silent = in_stack_file(config), remembered(), False
    publish(config, ours + theirs)
    reload(ours + theirs)
    while True:
        yield
        if config["database"] is None:
            continue
        try:
            theirs, silent = in_database(config["database"]), False
        except pymysql.MySQLError as error:
            if not silent:
                log.warning("the database does not answer, going on with the carriers known: %s", error.args[-1])
            silent = True
            continue
        remember(theirs)
        if publish(config, ours + theirs):
            log.info("carriers: %s", ", ".join(sorted({carrier.name for carrier in ours + theirs})))
            reload(ours + theirs)


def main(words: list[str]) -> int:
    """Follow the database until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = json.loads(CONFIG.read_text())
    if config["database"] is None:
        (STATE / "database.json").unlink(missing_ok=True)
    if words == ["--once"]:
        publish(config, in_stack_file(config) + remembered())
        return 0
    for _ in follow(config):
        time.sleep(PAUSE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
