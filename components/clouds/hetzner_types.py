"""What Hetzner Cloud sells where: enough to size a stack before anybody has a token.

Types and locations as its API listed them in autumn 2026. What a location has got today, only the API knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.plan import ServerType

EUROPE = ("fsn1", "nbg1", "hel1")
SHARED_X86: Mapping[tuple[str, ...], tuple[ServerType, ...]] = {
    EUROPE: (
        ServerType("cx23", 2, 4, dedicated=False),
        ServerType("cx33", 4, 8, dedicated=False),
        ServerType("cx43", 8, 16, dedicated=False),
        ServerType("cx53", 16, 32, dedicated=False),
    ),
    ("sin",): (
        ServerType("cpx22", 2, 4, dedicated=False),
        ServerType("cpx32", 4, 8, dedicated=False),
        ServerType("cpx42", 8, 16, dedicated=False),
        ServerType("cpx52", 12, 24, dedicated=False),
        ServerType("cpx62", 16, 32, dedicated=False),
    ),
}
"""The cheapest line of each place; the American locations have only dedicated ones here."""

DEDICATED_X86 = (
    ServerType("ccx13", 2, 8),
    ServerType("ccx23", 4, 16),
    ServerType("ccx33", 8, 32),
    ServerType("ccx43", 16, 64),
    ServerType("ccx53", 32, 128),
    ServerType("ccx63", 48, 192),
)


def server_types(region: str) -> tuple[ServerType, ...]:
    """What a location sells, the smallest first and shared before dedicated of the same size."""
    shared = next((types for regions, types in SHARED_X86.items() if region in regions), ())
    return tuple(sorted((*shared, *DEDICATED_X86), key=lambda each: (each.vcpus, each.dedicated)))
