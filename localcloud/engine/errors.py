"""What can go wrong, in one sentence for a person."""

from __future__ import annotations


class EngineError(Exception):
    """Nothing more can be done. `details` is a program's traceback, for whoever asks for it."""

    exit_code = 1

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class InterruptedRunError(EngineError):
    """Ctrl-C: what was running has ended and is in the state."""

    exit_code = 130


class StoppedError(Exception):
    """No new operation begins: one has failed, or Ctrl-C was pressed."""
