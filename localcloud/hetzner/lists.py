"""Reading: lists with filters, sorting and pages, single objects, and actions.

Which fields a list can be filtered and sorted by is on each operation's page in the provider's reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.hetzner import catalog
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError, invalid, not_found, removed_endpoint
from localcloud.hetzner.model import (
    Action,
    Firewall,
    FloatingIp,
    Network,
    PlacementGroup,
    PrimaryIp,
    Resource,
    Server,
    SshKey,
    Volume,
)
from localcloud.hetzner.query import Page, ordered, page_of, wanted
from localcloud.hetzner.views import View, action_view

ACTION_FILTERS = ("id", "status")
ACTION_SORT = ("id", "command", "status", "started", "finished")
ACTIONS_LIST_REMOVED = (
    "https://docs.hetzner.cloud/changelog#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed"
)
DATACENTERS_REMOVED = "https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated"

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Listing:
    """One kind of objects that can be listed and read one by one."""

    kind: str
    singular: str
    views: Callable[[Cloud], list[View]]
    filters: tuple[str, ...]
    sort: tuple[str, ...]

    def page(self, cloud: Cloud, query: Query) -> Page:
        return page_of(ordered(wanted(self.views(cloud), self.filters, query), self.sort, query.get("sort", ())), query)

    def one(self, cloud: Cloud, ident: int) -> View:
        for view in self.views(cloud):
            if view["id"] == ident:
                return view
        raise not_found(self.singular, ident)


def _records(kind: type[Resource], filters: tuple[str, ...], sort: tuple[str, ...]) -> Listing:
    return Listing(kind.kind, kind.singular, lambda cloud: cloud.views(kind, cloud.records.all(kind)), filters, sort)


def _catalog(kind: str, views: list[Any], filters: tuple[str, ...], sort: tuple[str, ...]) -> Listing:
    return Listing(kind, kind.removesuffix("s"), lambda _: views, filters, sort)


def _server_types(cloud: Cloud) -> list[View]:
    return [catalog.server_type_view(each, cloud.stock(each)) for each in catalog.SERVER_TYPES]


BY_NAME = ("id", "name")
BY_AGE = ("id", "created")
BY_ALL = ("id", "name", "created")

RECORDS = (
    _records(SshKey, ("name", "fingerprint"), BY_NAME),
    _records(Network, ("name",), BY_ALL),
    _records(PlacementGroup, ("name", "type"), BY_ALL),
    _records(Firewall, ("name",), BY_ALL),
    _records(Server, ("name", "status"), BY_ALL),
    _records(PrimaryIp, ("name", "ip"), BY_AGE),
    _records(FloatingIp, ("name",), BY_AGE),
    _records(Volume, ("name", "status"), BY_ALL),
)
CATALOG = (
    _catalog("locations", [catalog.location_view(each) for each in catalog.LOCATIONS], ("name",), BY_NAME),
    Listing("server_types", "server_type", _server_types, ("name",), ("id",)),
    _catalog(
        "images",
        [catalog.image_view(each) for each in catalog.IMAGES],
        ("name", "type", "status", "architecture", "bound_to"),
        BY_ALL,
    ),
)


def actions_named(cloud: Cloud, query: Query) -> Page:
    """Actions by their IDs, in any number; listing all of them was removed."""
    if not query.get("id"):
        raise removed_endpoint(ACTIONS_LIST_REMOVED)
    if strange := [text for text in query["id"] if not text.isdecimal()]:
        raise invalid("id", f"'{strange[0]}' is not an ID")
    return _action_page(cloud.records.actions([int(text) for text in query["id"]]), query)


def actions_of(cloud: Cloud, listing: Listing, ident: int | None, query: Query) -> Page:
    """Actions of one object, or of all objects of a kind."""
    if ident is not None:
        listing.one(cloud, ident)
    return _action_page(_related(cloud, listing, ident), query)


def action_of(cloud: Cloud, listing: Listing, ident: int | None, action_id: int) -> View:
    for action in _related(cloud, listing, ident):
        if action.id == action_id:
            return action_view(action)
    raise not_found(Action.singular, action_id)


def _related(cloud: Cloud, listing: Listing, ident: int | None) -> list[Action]:
    return [
        action
        for action in cloud.records.all(Action)
        if any(each.type == listing.singular and ident in (None, each.id) for each in action.resources)
    ]


def _action_page(actions: Sequence[Action], query: Query) -> Page:
    views = wanted([action_view(action) for action in actions], ACTION_FILTERS, query)
    return page_of(ordered(views, ACTION_SORT, query.get("sort", ())), query)


def datacenters_removed() -> ApiError:
    """Gone since October 2026; a server type's `locations` took its place."""
    return removed_endpoint(DATACENTERS_REMOVED)


def one_action(cloud: Cloud, ident: int) -> View:
    return action_view(cloud.records.get(Action, ident))
