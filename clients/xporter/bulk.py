"""How many responses with all records of a collection are sent at once, and for how long.

Each has a connection to the database until its reader has all of it, so slow readers must not take those of pages.
"""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from clients.xporter.problems import RETRY_SECONDS, Problem

MAX_AT_ONCE: Final = 20
"""How many complete collections one process sends at once: half of its connections for reading."""
MAX_PER_PARTNER: Final = 4
MAX_SECONDS: Final = 600
"""A response that takes longer ends without its last line."""


class Bulk:
    """Counts the responses that are being sent, by client."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def running(self) -> int:
        """How many are being sent now."""
        return self._running.total()

    def start(self, client_id: str) -> Callable[[], None]:
        """Count one response; call what it returns at its end, or twice. Raises `Problem` if there are too many."""
        with self._lock:
            if self._running[client_id] >= MAX_PER_PARTNER or self._running.total() >= MAX_AT_ONCE:
                detail = "Too many responses with all records are being sent. Read pages, or ask again later."
                raise Problem("temporarily_unavailable", detail, retry_after=RETRY_SECONDS)
            self._running[client_id] += 1
        is_running = True

        def end() -> None:
            nonlocal is_running
            with self._lock:
                if is_running:
                    is_running = False
                    self._running[client_id] -= 1
                    if not self._running[client_id]:
                        del self._running[client_id]

        return end
