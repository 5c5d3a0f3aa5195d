"""How the pulumi CLI is called, against a double that refuses what the CLI 3.260 refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.engines import Cli

PULUMI = """#!/bin/sh
echo "$*" >>"$0.calls"
case "$*" in
  "stack "*--config-file*) echo "error: unknown flag: --config-file" >&2; exit 6 ;;
  "stack output"*) echo '{"sip_address": "198.51.100.9"}' ;;
  preview*) echo '{"steps": [], "changeSummary": {}}' ;;
esac
"""


@pytest.mark.parametrize("config_file", [None, Path("/somewhere/Pulumi.s.yaml")])
def test_only_commands_that_read_settings_are_given_a_settings_file(tmp_path: Path, config_file: Path | None) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(PULUMI)
    pulumi.chmod(0o700)
    cli = Cli(str(pulumi), tmp_path, "s", config_file)
    assert cli.preview() == {"steps": [], "changeSummary": {}}
    assert cli.outputs(show_secrets=True) == {"sip_address": "198.51.100.9"}
    calls = (tmp_path / "pulumi.calls").read_text().splitlines()
    [preview] = [call for call in calls if call.startswith("preview")]
    assert ("--config-file" in preview) is (config_file is not None)
