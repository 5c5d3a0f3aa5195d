"""Faults that somebody asks for: of the API's calls, of machines, of the network between them. Values only.

They are kept with the records, so a restart of the API changes nothing about them: they end when their time or their
count is up, or when somebody clears them. They name machines, so one also holds for a machine that is made again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from localcloud.backend import Disk
from localcloud.hetzner.body import Body
from localcloud.hetzner.catalog import Stock, server_type_named
from localcloud.hetzner.model import Fate, Record

API = "api"
EVERYTHING = "everything"
PLACES = (API, EVERYTHING)
"""Ends of a link that are no machine."""

FAILURES: dict[int, tuple[str, str]] = {
    403: ("resource_limit_exceeded", "limit exceeded"),
    409: ("conflict", "the resource has changed during the request, please retry"),
    412: ("resource_unavailable", "the requested resource is currently unavailable"),
    423: ("locked", "the item you are trying to access is locked (there is already an action running)"),
    429: ("rate_limit_exceeded", "error when sending too many requests"),
    500: ("server_error", "error within the API backend"),
    502: ("bad_gateway", "error within the API backend"),
    503: ("unavailable", "a service or product is currently not available"),
    504: ("timeout", "the request could not be answered in time, please retry"),
}
"""Codes by status (docs.hetzner.cloud/reference/cloud, "Errors")."""

NOTICE_S = 90 * 86400
"""Between the announcement of a deprecation and the end of sale: about what the provider gives."""

Status = Literal[403, 409, 412, 423, 429, 500, 502, 503, 504]


class CallFault(Body):
    """Calls of the API that are late, fail, get no reply, or begin an action that ends in error.

    In `path` one `*` stands for anything but a slash, two for anything. `caller` is the server that calls. `count`
    calls are struck, or all. `before` is instead of the work, `after` is once it is done.
    """

    type: Literal["api"] = "api"
    method: Literal["GET", "POST", "PUT", "DELETE"] | None = None
    path: str = "/**"
    caller: str | None = None
    count: int | None = Field(default=None, ge=1)
    delay_s: float = Field(default=0, ge=0)
    status: Status | None = None
    reply_lost: Fate | None = None
    action_error: Fate | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> Self:
        effects = [self.status, self.reply_lost, self.action_error]
        given = sum(effect is not None for effect in effects)
        if given > 1:
            raise ValueError("only one of status, reply_lost and action_error can happen to a call")
        if not given and not self.delay_s:
            raise ValueError("one of delay_s, status, reply_lost and action_error is needed")
        return self


class LinkFault(Body):
    """Packets lost between two places: servers by name, "api", or "everything" for all that is not the server."""

    type: Literal["link"] = "link"
    source: str
    destination: str
    both_ways: bool = True
    percent: int = Field(default=100, ge=1, le=100)

    @model_validator(mode="after")
    def _two_places(self) -> Self:
        if self.source == self.destination:
            raise ValueError(f"'{self.source}' cannot be cut from itself")
        if self.source in PLACES and self.destination in PLACES:
            raise ValueError(f"one of '{self.source}' and '{self.destination}' has to be a server")
        return self


class PowerFault(Body):
    """No power; it is switched on again at the end."""

    type: Literal["power"] = "power"
    server: str


class FreezeFault(Body):
    """All processes stand still; they go on at the end."""

    type: Literal["freeze"] = "freeze"
    server: str


class FillFault(Body):
    """Not a byte is free on a disk; the ballast goes at the end."""

    type: Literal["fill"] = "fill"
    server: str
    disk: Disk = "data"


class StockFault(Body):
    """A server type that is sold out, or only deprecated, in one location or, without it, in all."""

    type: Literal["stock"] = "stock"
    server_type: str
    location: str | None = None
    deprecated: bool = False


MachineFault = PowerFault | FreezeFault | FillFault
Spec = Annotated[CallFault | LinkFault | MachineFault | StockFault, Field(discriminator="type")]


class NewFault(Body):
    """`seconds` is how long it lasts; None is until it is cleared."""

    fault: Spec
    seconds: float | None = Field(default=None, gt=0)


class Fault(Record):
    """`begun` and `until` in seconds since 1970; `struck` counts the calls that it happened to."""

    kind = "faults"
    singular = "fault"
    spec: Spec
    begun: float
    until: float | None
    struck: int = 0

    @property
    def exhausted(self) -> bool:
        return isinstance(self.spec, CallFault) and self.spec.count is not None and self.struck >= self.spec.count


@dataclass(frozen=True)
class Call:
    """One request; `path` without the API's prefix, `caller` the name of the server that sends it."""

    method: str
    path: str
    caller: str | None


def strikes(fault: CallFault, call: Call) -> bool:
    """Whether this call is one of those that the fault is about."""
    return (
        fault.method in (None, call.method)
        and fault.caller in (None, call.caller)
        and _pattern(fault.path).fullmatch(call.path) is not None
    )


def _pattern(path: str) -> re.Pattern[str]:
    wild = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", path)))


def servers_of(spec: Spec) -> tuple[str, ...]:
    """The servers that a fault names."""
    if isinstance(spec, CallFault):
        return (spec.caller,) if spec.caller else ()
    if isinstance(spec, LinkFault):
        return tuple(place for place in (spec.source, spec.destination) if place not in PLACES)
    return (spec.server,) if isinstance(spec, MachineFault) else ()


def stock_of(faults: Iterable[Fault], server_type: str) -> Stock:
    """What the faults leave of a server type."""
    sold_out: set[str] = set()
    deprecated: dict[str, dict[str, str]] = {}
    for fault in faults:
        if isinstance(fault.spec, StockFault) and fault.spec.server_type == server_type:
            places = [fault.spec.location] if fault.spec.location else server_type_named(server_type).locations
            if fault.spec.deprecated:
                deprecated |= dict.fromkeys(places, _deprecation(fault.begun))
            else:
                sold_out.update(places)
    return Stock(frozenset(sold_out), deprecated)


def _deprecation(announced: float) -> dict[str, str]:
    times = {"announced": announced, "unavailable_after": announced + NOTICE_S}
    return {name: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in times.items()}


def sentence(spec: Spec) -> str:
    """What happens, for a person."""
    if isinstance(spec, CallFault):
        return f"{_calls(spec)}: {', '.join(_effects(spec))}"
    if isinstance(spec, LinkFault):
        arrow = "<->" if spec.both_ways else "->"
        return f"{spec.source} {arrow} {spec.destination}: {_lost(spec.percent)}"
    if isinstance(spec, StockFault):
        return f"{spec.server_type} in {spec.location or 'all locations'}: {_shelf(spec)}"
    if isinstance(spec, FillFault):
        return f"{spec.server}: its {spec.disk} disk is full"
    return f"{spec.server}: {'no power' if isinstance(spec, PowerFault) else 'frozen'}"


def ending(fault: Fault, now: float) -> str:
    """When it is over, for a person; `now` in seconds since 1970."""
    ends = []
    if isinstance(fault.spec, CallFault) and fault.spec.count is not None:
        ends.append(f"after {fault.spec.count - fault.struck} more")
    if fault.until is not None:
        ends.append(f"in {max(0.0, fault.until - now):.0f} s")
    return " or ".join(ends) or "when cleared"


def _calls(spec: CallFault) -> str:
    return f"{spec.method or 'any'} {spec.path}" + (f" from {spec.caller}" if spec.caller else "")


def _effects(spec: CallFault) -> list[str]:
    effects = [f"{spec.delay_s:g} s late"] if spec.delay_s else []
    if spec.status:
        effects.append(f"fails with {spec.status} {FAILURES[spec.status][0]}")
    if spec.reply_lost:
        effects.append(f"no reply, {_work(spec.reply_lost)}")
    if spec.action_error:
        effects.append(f"its action ends in error, {_work(spec.action_error)}")
    return effects


def _shelf(spec: StockFault) -> str:
    return "deprecated" if spec.deprecated else "sold out"


def _work(moment: Fate) -> str:
    return "nothing is done" if moment == "before" else "the work is done"


def _lost(percent: int) -> str:
    return "cut" if percent == 100 else f"{percent} % of packets lost"
