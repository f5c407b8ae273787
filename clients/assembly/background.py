"""What happens without a request: mails are sent, waiting requests repeated, events handled, and changes looked for.

Everything that waits is in the database, so this thread may end at any moment.
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

log = logging.getLogger(__name__)


class Background:
    """The thread that does what waits, every `TICK_SECONDS`. `wake` has it start a round at once."""

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
        """Stop the thread after the step that it is doing."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(15)

    def wake(self) -> None:
        """Start a round now, because something waits."""
        self._wake.set()

    def work_once(self, *, poll: bool = False) -> None:
        """Do one round. A step that fails does not prevent the others, and is repeated in the next round."""
        database, provider, settings = self._database, self._provider, self._settings
        self._try(lambda: mail.send_due(database, settings))
        self._try(lambda: invitations.send_waiting(database, provider))
        self._try(lambda: connections.revoke_waiting(database, provider))
        self._try(lambda: events.handle_waiting(database, provider, settings))
        if poll:
            self._try(lambda: connections.check_all(database, provider))
            self._try(lambda: invitations.check_open(database, provider))

    def _run(self) -> None:
        while not self._stop.is_set():
            poll = time.monotonic() - self._polled_at >= self._settings.poll_seconds
            if poll:
                self._polled_at = time.monotonic()
            self.work_once(poll=poll)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  a thread that ends would leave everything waiting
            log.warning("it is tried again: %s: %s", type(error).__name__, error)
