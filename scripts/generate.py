"""Writes what is made from the settings: their table in README.md, the example stack files, and their pictures.

Tests compare; after a change of a setting, of a topology or of what a role opens run this. It needs Graphviz.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from components.plan import SitePlan
from scripts.draw import planned, render
from scripts.drawing import Live
from scripts.new_stack import STACKS, Answers, Sealed, text
from stacks.settings import Region, Settings, TopologyName, group_of

PICTURES = STACKS / "pictures"
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings: made by scripts/generate -->\n", "<!-- end of settings -->\n"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample me@example.net"
CARRIERS: tuple[Mapping[str, Any], ...] = (
    {"name": "wholesale-a", "addresses": ["192.0.2.10/32"]},
    {
        "name": "wholesale-b",
        "addresses": ["192.0.2.20/32"],
        "gateway": "192.0.2.20:5060",
        "prefixes": ["49", "43", ""],
    },
)
EXAMPLES = [
    *(("full", region) for region in get_args(Region)),
    *((topology, "fsn1") for topology in get_args(TopologyName) if topology != "full"),
]
"""Each topology once, and `full` in every region."""


def table() -> str:
    """All settings, with what is in their groups, as Markdown."""
    head = "| setting | what it is | allowed | default |\n|---|---|---|---|\n"
    return head + "".join(f"{row}\n" for name, field in Settings.model_fields.items() for row in _rows(name, field))


def _rows(name: str, field: FieldInfo) -> Iterator[str]:
    group = group_of(field)
    parts = group.model_fields if group else {}
    cells = (f"`{name}`", field.description or "", str(_extra(field)), "" if parts else _default(field))
    yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    for part, inner in parts.items():
        yield from _rows(f"{name}{_step(field)}.{part}", inner)


def _step(field: FieldInfo) -> str:
    kind = str(field.annotation)
    return "[]" if kind.startswith("list") else ".ROLE" if kind.startswith("dict") else ""


def _extra(field: FieldInfo) -> object:
    extra = field.json_schema_extra
    return extra["allowed"] if isinstance(extra, dict) else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if value is PydanticUndefined:
        return "**required**"
    if value is None or value in ((), [], {}, "") or isinstance(value, BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def in_readme(readme: str, made: str) -> str:
    """The text with the table between its marks."""
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    return re.sub(pattern, lambda _: BEGIN + made + END, readme, flags=re.DOTALL)


def examples() -> dict[Path, str]:
    """The committed stack files: complete but for their secrets."""
    return {
        STACKS / f"Pulumi.{topology}-{region}.yaml": text(
            Answers(topology, region, ("203.0.113.7/32",), (SSH_KEY,), carriers=CARRIERS), Sealed()
        )
        for topology, region in EXAMPLES
    }


def pictured() -> list[SitePlan]:
    """The stacks of which the README shows a picture: each topology once."""
    return [planned(f"{topology}-fsn1", None) for topology in get_args(TopologyName)]


def main() -> None:
    """Write them."""
    README.write_text(in_readme(README.read_text(), table()))
    for file, written in examples().items():
        file.write_text(written)
    for plan in pictured():
        render(plan, Live(), PICTURES, ("svg",))


if __name__ == "__main__":
    main()
