"""An `ssh` that stands for hosts: it answers by host and command, and remembers what it was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = """#!{python} -I
import json, sys
words = sys.argv[1:]
options = dict(w.split("=", 1) for before, w in zip(words, words[1:]) if before == "-o")
host, command, stdin = options["HostKeyAlias"], words[-1], sys.stdin.read()
with open({folder!r} + "/asked", "a") as log:
    log.write(json.dumps({{"host": host, "command": command, "words": words, "stdin": stdin}}) + "\\n")
for wanted_host, wanted, code, out, err in json.load(open({folder!r} + "/answers")):
    if wanted_host in (host, "*") and wanted in command:
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
sys.stderr.write("connect to host " + words[-2] + " port 22: Connection timed out\\n")
sys.exit(255)
"""


@dataclass
class FakeSsh:
    """Answers are looked for in their order; a host without one does not take ssh."""

    folder: Path
    answers: list[tuple[str, str, int, str, str]] = field(default_factory=list)

    def answer(self, host: str, command: str, out: object = "", code: int = 0, err: str = "") -> None:
        """What `host` ("*": any) answers to commands that contain `command`; objects as JSON."""
        text = out if isinstance(out, str) else json.dumps(out)
        self.answers.insert(0, (host, command, code, text, err))
        (self.folder / "answers").write_text(json.dumps(self.answers))

    def asked(self, host: str = "") -> list[str]:
        """The commands, in their order; of one host, or of all."""
        return [entry["command"] for entry in self.log() if host in ("", entry["host"])]

    def log(self) -> list[dict[str, Any]]:
        path = self.folder / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
