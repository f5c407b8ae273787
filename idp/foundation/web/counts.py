"""The counts behind `throttle.rate_limit`, in this process's memory.

The in-memory storage of `limits` starts a thread at nearly every call on a quiet service, to remove counts whose window
has ended. Here the calls remove them, once a minute.
"""

import threading
import time
from typing import Final

from limits.storage import Storage

SWEEP_SECONDS: Final = 60
"""How long counts may stay in memory after their window has ended."""


class InMemoryCounts(Storage):
    """Counts of fixed windows, each with the time at which it ends."""

    STORAGE_SCHEME = None  # not to be named in a setting

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._next_sweep = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        """The type of this storage's errors, which `limits` requires; it raises none."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the count of `key`; returns the sum. A window that begins now ends in `expiry` seconds."""
        now = time.time()
        with self._lock:
            count, ends = self._counts.get(key, (0, 0.0))
            if ends <= now:
                count, ends = 0, now + expiry
                self._sweep(now)
            self._counts[key] = count + amount, ends
        return count + amount

    def get(self, key: str) -> int:
        """The count of `key`; 0 once its window has ended."""
        count, ends = self._counts.get(key, (0, 0.0))
        return count if time.time() < ends else 0

    def get_expiry(self, key: str) -> float:
        """When the window of `key` ends, in seconds since 1970; now if it has none."""
        return max(self._counts.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        """Whether the storage works: always."""
        return True

    def reset(self) -> int:
        """Remove all counts; returns how many there were."""
        with self._lock:
            removed = len(self._counts)
            self._counts.clear()
        return removed

    def clear(self, key: str) -> None:
        """Remove the count of `key`."""
        with self._lock:
            self._counts.pop(key, None)

    def _sweep(self, now: float) -> None:
        """Remove the counts whose window has ended, at most once in `SWEEP_SECONDS`."""
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            self._counts = {key: count for key, count in self._counts.items() if count[1] > now}
