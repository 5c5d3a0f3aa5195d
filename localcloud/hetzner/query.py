"""Filters, label selectors, sorting and pages of a list (docs.hetzner.cloud/reference/cloud, "Label Selector",
"Sorting", "Pagination"). Pure functions over the objects that a reply is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.hetzner.errors import invalid

PER_PAGE = 25
PER_PAGE_LIMIT = 50

View = dict[str, Any]
Labels = Mapping[str, str]
Matcher = Callable[[Labels], bool]

KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
EQUALITY = re.compile(rf"(?P<key>{KEY})\s*(?P<op>==|=|!=)\s*(?P<value>{VALUE})")
MEMBERSHIP = re.compile(rf"(?P<key>{KEY})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
PRESENCE = re.compile(rf"(?P<op>!?)\s*(?P<key>{KEY})")


def label_selector(text: str) -> Matcher:
    """The selector as a predicate on labels; raises `invalid_input` where it cannot be read."""
    matchers = [_term(term.strip()) for term in re.split(r",(?![^()]*\))", text)]
    return lambda labels: all(matches(labels) for matches in matchers)


def _term(term: str) -> Matcher:
    if found := EQUALITY.fullmatch(term):
        key, value = found["key"], found["value"]
        equal = found["op"] != "!="
        return lambda labels: (labels.get(key) == value) is equal
    if found := MEMBERSHIP.fullmatch(term):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        member = found["op"] == "in"
        return lambda labels: (labels.get(key) in values) is member
    if found := PRESENCE.fullmatch(term):
        key, present = found["key"], not found["op"]
        return lambda labels: (key in labels) is present
    raise invalid("label_selector", f"'{term}' is not a label selector")


def wanted(views: Sequence[View], filters: Sequence[str], query: Mapping[str, Sequence[str]]) -> list[View]:
    """Views whose fields have one of the values asked for, and whose labels match the selector."""
    result = list(views)
    for field in filters:
        if values := query.get(field):
            result = [view for view in result if str(view.get(field)) in values]
    for selector in query.get("label_selector", ()):
        matches = label_selector(selector)
        result = [view for view in result if matches(view["labels"])]
    return result


def ordered(views: Sequence[View], sortable: Sequence[str], sort: Sequence[str]) -> list[View]:
    """Sorted by `field`, `field:asc` or `field:desc`, the first being the most significant; else by ID."""
    result = sorted(views, key=lambda view: int(view["id"]))
    for entry in reversed(sort):
        field, _, direction = entry.partition(":")
        if field not in sortable or direction not in ("", "asc", "desc"):
            raise invalid("sort", f"'{entry}' is not one of {', '.join(sortable)}, with :asc or :desc")
        result.sort(key=lambda view: (view[field] is not None, view[field]), reverse=direction == "desc")
    return result


@dataclass(frozen=True)
class Page:
    """One page of a list; `meta` is the object of that name in the reply."""

    views: list[View]
    number: int
    per_page: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.per_page))

    @property
    def meta(self) -> View:
        return {
            "pagination": {
                "page": self.number,
                "per_page": self.per_page,
                "previous_page": self.number - 1 if self.number > 1 else None,
                "next_page": self.number + 1 if self.number < self.last else None,
                "last_page": self.last,
                "total_entries": self.total,
            }
        }

    @property
    def links(self) -> dict[str, int]:
        """Page numbers by relation, for the Link header."""
        pagination = self.meta["pagination"]
        links = {"prev": pagination["previous_page"], "next": pagination["next_page"], "last": self.last}
        return {relation: number for relation, number in links.items() if number}


def page_of(views: Sequence[View], query: Mapping[str, Sequence[str]]) -> Page:
    """The page asked for; more than 50 a page are cut to 50, which the provider does not document."""
    number = _positive(query, "page", 1)
    per_page = min(_positive(query, "per_page", PER_PAGE), PER_PAGE_LIMIT)
    start = (number - 1) * per_page
    return Page(list(views[start : start + per_page]), number, per_page, len(views))


def _positive(query: Mapping[str, Sequence[str]], name: str, default: int) -> int:
    text = query.get(name, [str(default)])[-1]
    if not text.isdecimal() or int(text) < 1:
        raise invalid(name, f"'{text}' is not a number from 1")
    return int(text)
