"""The holder's sign of life: a row committed once a second, which waits for the backup as every write does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from failover.mariadb import DatabaseError

EVERY = 1.0


class Beat:
    """Writes while it is on. `at` is when a row was last committed, or when the first was begun; None while off."""

    def __init__(self, write: Callable[[], None], now: Callable[[], float]) -> None:
        self._write = write
        self._now = now
        self._on = threading.Event()
        self._quiet = threading.Event()
        self._quiet.set()
        self._instance: str | None = None
        self.at: float | None = None
        threading.Thread(target=self._run, name="beat", daemon=True).start()

    def start(self, instance: str | None) -> None:
        """Another mariadbd has committed nothing yet."""
        if self.at is None or instance != self._instance:
            self.at, self._instance = self._now(), instance
        self._on.set()

    def stop(self, timeout: float = 1.0) -> bool:
        """True when nothing is being written any more."""
        self._on.clear()
        return self._quiet.wait(timeout)

    def forget(self) -> None:
        """mariadbd is gone."""
        self._on.clear()
        self.at = None

    def _run(self) -> None:
        while True:
            self._on.wait()
            self._quiet.clear()
            began, instance = self._now(), self._instance
            if self._on.is_set() and self._committed() and instance == self._instance and self.at is not None:
                self.at = began
            self._quiet.set()
            time.sleep(max(0.0, began + EVERY - self._now()))

    def _committed(self) -> bool:
        try:
            self._write()
        except DatabaseError:
            return False
        return True
