"""Break the local cloud on purpose: its API, its machines, the network between them.

A fault lasts until its time or its count is up or `fault clear` ends it; it outlives a restart of the API and a machine
that is made again under its name. `down` removes faults with everything else.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Annotated, Any, Literal, Self

import typer
from rich.console import Console
from rich.table import Table

from scripts.cloud_api import NotThereError, ask

app = typer.Typer(no_args_is_help=True, help=__doc__)


class Moment(StrEnum):
    before = "before"
    after = "after"


class Disk(StrEnum):
    data = "data"
    root = "root"


@dataclass(frozen=True)
class Fault:
    """A fault that has happened; as a context it ends with its block. `what` and `ends` are for a person."""

    id: int
    what: str
    ends: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(NotThereError):
            clear(self.id)


def api(
    path: str = "/**",
    *,
    method: Literal["GET", "POST", "PUT", "DELETE"] | None = None,
    caller: str | None = None,
    delay_s: float = 0,
    status: int | None = None,
    reply_lost: Literal["before", "after"] | None = None,
    action_error: Literal["before", "after"] | None = None,
    count: int | None = None,
    seconds: float | None = None,
) -> Fault:
    """Calls are late, fail, get no reply, or begin an action that ends in error.

    `path` is the provider's without /v1, where one `*` stands for anything but a slash and two for anything; `caller`
    a server's name. `before` is instead of the work, `after` is once it is done. Raises LocalCloudError.
    """
    effects = {"delay_s": delay_s, "status": status, "reply_lost": reply_lost, "action_error": action_error}
    calls = {"path": path, "method": method, "caller": caller, "count": count}
    return _begin({"type": "api", **calls, **effects}, seconds)


def cut(a: str, b: str, *, one_way: bool = False, seconds: float | None = None) -> Fault:
    """No packet goes between two places, or none from `a` to `b`: servers, "api", "everything"."""
    return loss(a, b, 100, one_way=one_way, seconds=seconds)


def loss(a: str, b: str, percent: int, *, one_way: bool = False, seconds: float | None = None) -> Fault:
    """`percent` of the packets between two places are lost, each way or from `a` to `b` only."""
    ends = {"source": a, "destination": b, "both_ways": not one_way}
    return _begin({"type": "link", **ends, "percent": percent}, seconds)


def power(server: str, *, seconds: float | None = None) -> Fault:
    """The server's power is cut; it is switched on again at the end."""
    return _begin({"type": "power", "server": server}, seconds)


def freeze(server: str, *, seconds: float | None = None) -> Fault:
    """All processes of the server stand still; they go on at the end."""
    return _begin({"type": "freeze", "server": server}, seconds)


def fill(server: str, disk: Literal["data", "root"] = "data", *, seconds: float | None = None) -> Fault:
    """Not a byte is free on the running server's volume or root disk; at the end the space is back."""
    return _begin({"type": "fill", "server": server, "disk": disk}, seconds)


def stock(
    server_type: str, location: str | None = None, *, deprecated: bool = False, seconds: float | None = None
) -> Fault:
    """A server type is sold out, or only deprecated, in a location or in all."""
    return _begin(
        {"type": "stock", "server_type": server_type, "location": location, "deprecated": deprecated}, seconds
    )


def listed() -> list[Fault]:
    """All faults, oldest first."""
    return [Fault(**fault) for fault in ask("GET", "/local/faults")["faults"]]


def clear(ident: int | None = None) -> None:
    """Ends one fault, or all. Raises LocalCloudError: NotThereError when there is none of that number."""
    for each in [ident] if ident is not None else [fault.id for fault in listed()]:
        ask("DELETE", f"/local/faults/{each}")


def _begin(fault: dict[str, Any], seconds: float | None) -> Fault:
    return Fault(**ask("POST", "/local/faults", {"fault": fault, "seconds": seconds})["fault"])


Server = Annotated[str, typer.Argument(help="a server's name; see `status`")]
Place = Annotated[str, typer.Argument(help="a server's name, 'api', or 'everything' that is not the other")]
For = Annotated[float | None, typer.Option("--for", metavar="SECONDS", min=0.001, help="then it ends by itself")]
OneWay = Annotated[bool, typer.Option("--one-way", help="only what A sends to B")]


@app.command("api", no_args_is_help=True)
def api_command(
    path: Annotated[str, typer.Argument(help="like '/servers/*': * is anything but a slash, ** is anything")],
    method: Annotated[str | None, typer.Option(help="GET, POST, PUT or DELETE; all if it is not given")] = None,
    caller: Annotated[str | None, typer.Option("--from", metavar="SERVER", help="only calls of this server")] = None,
    delay: Annotated[float, typer.Option(metavar="SECONDS", help="the call is late")] = 0,
    status: Annotated[
        int | None,
        typer.Option(help="it fails with 403, 409, 412, 423, 429, 500, 502, 503 or 504 and the provider's code"),
    ] = None,
    reply_lost: Annotated[
        Moment | None, typer.Option(help="the connection is closed instead of the work, or once it is done")
    ] = None,
    action_error: Annotated[
        Moment | None, typer.Option(help="its action ends in error instead of its work, or once it is done")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="so many calls; all if it is not given")] = None,
    seconds: For = None,
) -> None:
    """Calls of the API are late, fail, get no reply, or begin an action that ends in error.

    E.g. fault api '/networks/*/actions/add_route' --status 409 --count 3
    """
    effects: dict[str, Any] = {"reply_lost": reply_lost, "action_error": action_error, "status": status}
    calls: dict[str, Any] = {"method": method and method.upper(), "caller": caller, "count": count}
    _tell(api(path, **calls, delay_s=delay, **effects, seconds=seconds))


@app.command("cut")
def cut_command(a: Place, b: Place, one_way: OneWay = False, seconds: For = None) -> None:
    """No packet goes between A and B, on any network."""
    _tell(cut(a, b, one_way=one_way, seconds=seconds))


@app.command("loss")
def loss_command(
    a: Place,
    b: Place,
    percent: Annotated[int, typer.Option(min=1, max=100, help="of the packets, each way")],
    one_way: OneWay = False,
    seconds: For = None,
) -> None:
    """Packets between A and B are lost, on any network."""
    _tell(loss(a, b, percent, one_way=one_way, seconds=seconds))


@app.command("power")
def power_command(name: Server, seconds: For = None) -> None:
    """Cut a server's power; clearing switches it on."""
    _tell(power(name, seconds=seconds))


@app.command("freeze")
def freeze_command(name: Server, seconds: For = None) -> None:
    """Stop all processes of a server; clearing lets them go on."""
    _tell(freeze(name, seconds=seconds))


@app.command("fill")
def fill_command(
    name: Server,
    disk: Annotated[Disk, typer.Option(help="its volume, or the disk it boots from")] = Disk.data,
    seconds: For = None,
) -> None:
    """Fill a running server's disk; clearing frees it."""
    _tell(fill(name, disk.value, seconds=seconds))


@app.command("stock")
def stock_command(
    server_type: Annotated[str, typer.Argument(help="like cx23")],
    location: Annotated[str | None, typer.Option("--in", metavar="LOCATION", help="all if it is not given")] = None,
    deprecated: Annotated[bool, typer.Option("--deprecated", help="announced to go, and still sold")] = False,
    seconds: For = None,
) -> None:
    """Have a server type sold out."""
    _tell(stock(server_type, location, deprecated=deprecated, seconds=seconds))


@app.command("list")
def list_command() -> None:
    """All faults, and when each ends."""
    table = Table("fault", "what", "ends", box=None, pad_edge=False)
    for fault in listed():
        table.add_row(str(fault.id), fault.what, fault.ends)
    Console().print(table)


@app.command("clear")
def clear_command(
    number: Annotated[int | None, typer.Argument(help="as in `list`; all if it is not given")] = None,
) -> None:
    """End a fault, or all of them."""
    clear(number)


def _tell(fault: Fault) -> None:
    Console(stderr=True, highlight=False).print(f"fault {fault.id}  {fault.what}; ends {fault.ends}", markup=False)
