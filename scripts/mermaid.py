"""The picture of a stack as Mermaid, which GitHub draws in a comment: the same hosts and ports as `scripts/draw`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from components.plan import SitePlan
from scripts.drawing import edges


def flowchart(plan: SitePlan) -> str:
    """Kinds of hosts with their number, type and roles, moving addresses, and who reaches what."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _lines(plan))])


def _lines(plan: SitePlan) -> Iterator[str]:
    numbers = Counter(host.kind for host in plan.hosts)
    for kind, number in numbers.items():
        first = next(host for host in plan.hosts if host.kind == kind)
        yield f'{_id(kind)}["{number} x {kind}<br>{first.server_type}<br>{", ".join(first.roles)}"]'
    drawn = edges(plan)
    for name in dict.fromkeys(name for edge in drawn for name in (edge.source, edge.target) if name not in numbers):
        yield f'{_id(name)}(["{name}"])'
    for vip in plan.vips:
        yield f"{_id(f'{vip.name} address')} -.-> {_id(plan.host(vip.members[0]).kind)}"
    for edge, labels in drawn.items():
        yield f'{_id(edge.source)} -- "{", ".join(labels)}" --> {_id(edge.target)}'


def _id(name: str) -> str:
    """Mermaid has words of its own, such as `end`."""
    return "n_" + re.sub(r"\W", "_", name)
