"""Errors as the provider sends them.

Codes and status codes: docs.hetzner.cloud/reference/cloud, "Errors"; operation-specific ones from each operation's
page, whose status is 422 where the page gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error reply; `message` is one sentence for a person, `details` depends on the code."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


def refused(code: str, message: str, status: int = 422) -> ApiError:
    """An error of one operation."""
    return ApiError(status, code, message)


def invalid(field: str, problem: str, message: str | None = None) -> ApiError:
    """One field of the body or the query is wrong."""
    return invalid_fields({field: [problem]}, message)


def invalid_fields(problems: Mapping[str, list[str]], message: str | None = None) -> ApiError:
    names = "', '".join(problems)
    text = "; ".join(problem for messages in problems.values() for problem in messages)
    fields = [{"name": name, "messages": messages} for name, messages in problems.items()]
    return ApiError(422, "invalid_input", message or f"invalid input in field '{names}': {text}", {"fields": fields})


def not_found(kind: str, ident: object) -> ApiError:
    return ApiError(404, "not_found", f"{kind} with ID '{ident}' not found")


def not_unique(field: str, message: str) -> ApiError:
    return ApiError(409, "uniqueness_error", message, {"fields": [{"name": field}]})


def limit_exceeded(what: str, limit: int) -> ApiError:
    return ApiError(
        403, "resource_limit_exceeded", f"{what} limit exceeded: at most {limit}", {"limits": [{"name": what}]}
    )


def locked(kind: str, ident: int) -> ApiError:
    return ApiError(423, "locked", f"{kind} with ID '{ident}' is locked: an action on it is running")


def conflict(kind: str, ident: int) -> ApiError:
    return ApiError(409, "conflict", f"{kind} with ID '{ident}' is being changed, please retry")


def protected(kind: str, ident: int) -> ApiError:
    return ApiError(423, "protected", f"{kind} with ID '{ident}' is protected against deletion")


def removed_endpoint(announcement: str) -> ApiError:
    return ApiError(410, "deprecated_api_endpoint", "API functionality was removed", {"announcement": announcement})
