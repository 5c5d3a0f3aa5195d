"""Bodies of requests: their types, and how what is wrong with one is told."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from localcloud.hetzner.errors import invalid_fields

B = TypeVar("B", bound="Body")

LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
RESERVED_LABEL_PREFIX = "hetzner.cloud"
HOST_NAME = (
    r"^(?=.{1,253}$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*$"
)
VOLUME_NAME = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62}[A-Za-z0-9])?$"


class Body(BaseModel):
    """A request's body. A key that this cloud does not know is refused: ignoring it would be a lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Nothing(Body):
    """For actions without arguments, which clients send with an empty object or with no body at all."""


def _labels(labels: dict[str, str]) -> dict[str, str]:
    """Docs: "Labels" in the provider's reference."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not LABEL_NAME.fullmatch(name) or (slash and not LABEL_PREFIX.fullmatch(prefix)):
            raise ValueError(f"'{key}' is not a label key")
        if prefix == RESERVED_LABEL_PREFIX:
            raise ValueError(f"the prefix of '{key}' is reserved")
        if value and not LABEL_NAME.fullmatch(value):
            raise ValueError(f"'{value}' is not a label value")
    return labels


def _cidr(text: str) -> str:
    return str(ipaddress.IPv4Network(text))


def _address(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


Labels = Annotated[dict[str, str], AfterValidator(_labels), BeforeValidator(lambda given: given or {})]
NO_LABELS: dict[str, str] = {}
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
HostName = Annotated[str, AfterValidator(lambda name: _matching(HOST_NAME, name, "a host name as in RFC 1123"))]
VolumeName = Annotated[str, AfterValidator(lambda name: _matching(VOLUME_NAME, name, "a volume's name"))]
Cidr4 = Annotated[str, AfterValidator(_cidr)]
Address4 = Annotated[str, AfterValidator(_address)]


def _matching(pattern: str, text: str, what: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"'{text}' is not {what}")
    return text


def parse(kind: type[B], data: object) -> B:
    """The body, or the provider's `invalid_input` naming every wrong field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid_fields(_problems(error.errors(include_url=False, include_input=False))) from None


def _problems(errors: list[Any]) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    for error in errors:
        field = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
        known = error["type"] != "extra_forbidden"
        message = error["msg"].removeprefix("Value error, ") if known else "this cloud does not know it"
        problems.setdefault(field or "body", []).append(message)
    return problems
