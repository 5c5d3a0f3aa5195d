"""The provider's rate limit: 3600 requests an hour, one more each second (reference, "Rate Limiting"). Pure."""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS_PER_HOUR = 3600
PER_SECOND = REQUESTS_PER_HOUR / 3600


@dataclass(frozen=True)
class Budget:
    """What was left of the requests at a time in seconds since 1970."""

    remaining: float
    at: float

    def refilled(self, now: float) -> Budget:
        grown = self.remaining + max(0.0, now - self.at) * PER_SECOND
        return Budget(min(float(REQUESTS_PER_HOUR), grown), now)

    def spent(self) -> Budget | None:
        """After one more request; None when there is no request left."""
        return Budget(self.remaining - 1, self.at) if self.remaining >= 1 else None

    def exhausted(self) -> Budget:
        return Budget(0.0, self.at)

    @property
    def headers(self) -> dict[str, str]:
        full_at = self.at + (REQUESTS_PER_HOUR - self.remaining) / PER_SECOND
        return {
            "RateLimit-Limit": str(REQUESTS_PER_HOUR),
            "RateLimit-Remaining": str(int(self.remaining)),
            "RateLimit-Reset": str(int(full_at)),
        }
