"""Which stacks a change touches."""

from __future__ import annotations

import pytest

from scripts.changed_stacks import touched

STACKS = ["full-fsn1", "full-nbg1", "full-local"]


@pytest.mark.parametrize(
    ("files", "existing", "every"),
    [
        (["stacks/Pulumi.full-fsn1.yaml"], ["full-fsn1"], ["full-fsn1"]),
        (["stacks/Pulumi.gone-hel1.yaml"], [], ["gone-hel1"]),
        (["stacks/Pulumi.full-local.yaml"], [], []),
        (["README.md", "tests/unit/test_program.py", "costs/report.py"], [], []),
        (["components/host.py"], ["full-fsn1", "full-nbg1"], ["full-fsn1", "full-nbg1"]),
        (["roles/core/role.yaml", "README.md"], ["full-fsn1", "full-nbg1"], ["full-fsn1", "full-nbg1"]),
        (["stacks/Pulumi.$(reboot).yaml"], ["full-fsn1", "full-nbg1"], ["full-fsn1", "full-nbg1"]),
        ([], [], []),
    ],
)
def test_touched(files: list[str], existing: list[str], every: list[str]) -> None:
    assert touched(files, STACKS) == {"existing": existing, "all": every}
