"""The log line of a request, as JSON, without structlog's processors: all its fields are allowed, and hold no secret.

Lines are written together, a twentieth of a second after the first of them: a thread that writes gives up the
interpreter's lock, and waits to get it back while another thread handles a request. A process that is killed loses
the lines of its last twentieth of a second.
"""

import json
import logging
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import Final, TextIO

_LOGGER: Final = logging.getLogger("idp.request")
WRITE_INTERVAL_SECONDS: Final = 0.05
"""How long lines are collected before they are written together."""
MAX_WAITING_LINES: Final = 10_000
"""How many lines may wait. A request that reaches the limit waits for the program that reads the log."""


class LineWriter:
    """Collects lines, which a thread of its own writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._has_lines = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, line: str) -> None:
        """Add a line, to be written soon."""
        with self._lock:
            self._lines.append(line)
            if self._thread is None:  # in the process that handles requests, not in the one that starts it
                self._start()
            is_full = len(self._lines) >= MAX_WAITING_LINES
        if is_full:
            self.write()
        elif not self._has_lines.is_set():
            self._has_lines.set()

    def write(self) -> None:
        """Write the lines that wait. Those that cannot be written, on a full disk for instance, are lost."""
        with self._writing:
            with self._lock:
                self._has_lines.clear()
                lines, self._lines = self._lines, []
            if lines:
                with suppress(OSError, ValueError):  # ValueError: the stream is closed
                    self._stream.write("\n".join(lines) + "\n")
                    self._stream.flush()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._write_regularly, name="log lines", daemon=True)
        self._thread.start()
        Finalize(None, self.write, exitpriority=0)  # `atexit` calls nothing where multiprocessing started the process

    def _write_regularly(self) -> None:
        while self._has_lines.wait():
            time.sleep(WRITE_INTERVAL_SECONDS)
            self.write()


_writers: Final[list[LineWriter]] = []
"""The one in use, if lines are JSON."""


def configure(*, is_json: bool) -> None:
    """Write JSON lines to standard error; without `is_json` structlog writes the lines of requests too."""
    for writer in _writers:
        writer.write()
    _writers[:] = [LineWriter(sys.stderr)] if is_json else []


def is_wanted() -> bool:
    """Whether the log level includes a line for each request."""
    return _LOGGER.isEnabledFor(logging.INFO)


def is_json() -> bool:
    """Whether the lines are JSON, and so written by `write`."""
    return bool(_writers)


def write(fields: dict[str, object]) -> None:
    """Write a line with the members that structlog would give it."""
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": "request", **fields, "level": "info", "logger": _LOGGER.name, "timestamp": timestamp}
    _writers[0].add(json.dumps(line))
