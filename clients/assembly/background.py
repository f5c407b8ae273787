"""Background jobs: send mails, repeat queued requests, handle events, poll for changes.

All queued work is in the database, so this thread may end at any moment.
"""

import logging
import threading
import time
from collections.abc import Callable

from clients.assembly import connections, events, invitations, mail
from clients.assembly.database import Database
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings

TICK_SECONDS = 0.5
STOP_SECONDS = 15
"""How long `stop` waits for the thread. A step may take longer, if what it calls does not respond."""

log = logging.getLogger(__name__)


class Background:
    """The thread that runs the queued work, every `TICK_SECONDS`. `wake` has it start a round at once."""

    def __init__(self, database: Database, provider: Provider, settings: Settings) -> None:
        self._database, self._provider, self._settings = database, provider, settings
        self._wake, self._stop = threading.Event(), threading.Event()
        self._polled_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. It does not keep the program running."""
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step that it is doing, and wait for that up to `STOP_SECONDS`."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def wake(self) -> None:
        """Start a round now, because work has been queued."""
        self._wake.set()

    def work_once(self, *, poll: bool = False) -> None:
        """Do one round, until `stop` is called; with `poll`, also ask the provider what has changed.

        A step that fails does not prevent the others. The next round repeats it; the steps of `poll`, the next one that
        polls, after `Settings.poll_seconds`.
        """
        database, provider, settings = self._database, self._provider, self._settings
        steps: dict[str, Callable[[], None]] = {
            "send mails": lambda: mail.send_due(database, settings),
            "send invitations": lambda: invitations.send_waiting(database, provider),
            "revoke tokens": lambda: connections.revoke_waiting(database, provider),
            "handle events": lambda: events.handle_waiting(database, provider, settings),
        }
        if poll:
            steps["check connections"] = lambda: connections.check_all(database, provider)
            steps["check invitations"] = lambda: invitations.check_open(database, provider)
        for name, step in steps.items():
            if self._stop.is_set():
                return
            try:
                step()
            except Exception as error:  # noqa: BLE001  a thread that ends would leave everything waiting
                log.warning("the step %r failed and will be retried: %s: %s", name, type(error).__name__, error)

    def _run(self) -> None:
        while not self._stop.is_set():
            poll = time.monotonic() - self._polled_at >= self._settings.poll_seconds
            if poll:
                self._polled_at = time.monotonic()
            self.work_once(poll=poll)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
