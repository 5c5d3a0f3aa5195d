"""An agent that answers on its socket as the real one does: one JSON line in, one out."""

from __future__ import annotations

import json
import socketserver
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeAgent:
    """Answers come in their order for each `do`; the last one stays."""

    answers: dict[str, list[object]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, do: str, *answers: object) -> None:
        self.answers[do] = list(answers)

    def reply(self, request: dict[str, Any]) -> object:
        self.asked.append(request)
        waiting = self.answers.get(request["do"], [{"ok": False, "why": f"no {request['do']} here"}])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


class Handler(socketserver.StreamRequestHandler):
    """One question."""

    agent: FakeAgent

    def handle(self) -> None:
        answer = self.agent.reply(json.loads(self.rfile.readline()))
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")
