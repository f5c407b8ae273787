"""The background thread: it checks and applies extracts that have arrived, and deletes old rows.

All its work is in the database, so it may be killed at any moment.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Final

from clients.xporter import applying, extracts, retention
from clients.xporter.database import DISK_FULL_SECONDS, Database, is_disk_full
from clients.xporter.extract_file import Content, ExtractFile
from clients.xporter.extracts import Extract
from clients.xporter.problems import Problem
from clients.xporter.settings import Settings

TICK_SECONDS = 0.5
RETRY_SECONDS = 5
MAX_ATTEMPTS = 5
"""An extract with more is refused: checking it may have crashed the process each time."""
RETENTION_SECONDS = 3600

Members = Callable[[], Mapping[str, Collection[str]]]
"""The members that records may have, by collection. Raises `Problem` while the catalogue cannot be read."""

NOT_CHECKED: Final = "no longer being checked"
log = logging.getLogger(__name__)


class Worker:
    """The thread. It looks for work every `TICK_SECONDS`, and at once after `wake`."""

    def __init__(
        self, database: Database, settings: Settings, members: Members, now: Callable[[], float] = time.time
    ) -> None:
        self._database, self._settings, self._members, self._now = database, settings, members, now
        self._wake, self._stop = threading.Event(), threading.Event()
        self._cleaned_at = float("-inf")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, which does not keep the program running."""
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the extract that it is checking."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(60)

    def wake(self) -> None:
        """An extract has arrived."""
        self._wake.set()

    def apply_waiting(self) -> int:
        """Check and apply the extracts that wait now, each at most once; returns how many there were."""
        number, began = 0, self._now()
        while not self._stop.is_set():
            extract = extracts.claim(self._database, self._now(), free_since=began)
            if extract is None:
                break
            number += 1
            try:
                self._handle(extract)
            except Problem as error:
                log.warning("extract %s of school %s waits: %s", extract.id, extract.school_id, error)
                extracts.release(self._database, extract, self._now() + RETRY_SECONDS, count=False)
            except Exception as error:  # noqa: BLE001  the others must not wait for this one
                log.warning("extract %s of school %s: %s", extract.id, extract.school_id, _describe_safely(error))
                is_full = is_disk_full(error)  # which is not a fault of the extract
                wait = DISK_FULL_SECONDS if is_full else RETRY_SECONDS * extract.attempts
                extracts.release(self._database, extract, self._now() + wait, count=not is_full)
        return number

    def _handle(self, extract: Extract) -> None:
        began = time.monotonic()
        content = Content()
        if extract.attempts > MAX_ATTEMPTS:
            content.add_problem(0, "It could not be checked. Send a new extract; if it happens again, tell us.")
            refusal = "cannot_be_checked"
        else:
            refusal = self._check(extract, content)
        if refusal and not applying.refuse(self._database, extract, refusal, content, self._now()):
            refusal = NOT_CHECKED
        state = {"": "applied", NOT_CHECKED: NOT_CHECKED}.get(refusal, f"refused ({refusal})")
        seconds = time.monotonic() - began
        log.info("extract %s of school %s: %s in %.1f s", extract.id, extract.school_id, state, seconds)

    def _check(self, extract: Extract, content: Content) -> str:
        """Check the extract, and apply it if there are no problems; returns the code of its refusal, or "".

        `NOT_CHECKED` if it ended meanwhile, for example because everything of the school was deleted.
        """
        members = self._members()
        with extracts.file_of(self._database, extract) as (raw, sha256):
            if sha256 != extract.sha256:
                content.add_problem(0, "The SHA-256 of what arrived is different. Send it again, with a new id.")
                return "damaged"
            file = ExtractFile(raw, members)
            checked = file.check()
            if checked.mis != extract.mis and not checked.problems:
                checked.add_problem(1, "mis is not the one that was announced.", None, "mis")
            content.problems = checked.problems
            if checked.problems:
                return "invalid_content"
            try:
                applied = applying.apply(self._database, extract, file, checked, self._now())
            except applying.ExtractRefused as refused:
                return str(refused)
        return "" if applied else NOT_CHECKED

    def _run(self) -> None:
        self._log_errors("release extracts", lambda: extracts.release_all(self._database))
        while not self._stop.is_set():
            self._log_errors("check extracts", self.apply_waiting)
            if time.monotonic() - self._cleaned_at > RETENTION_SECONDS:
                self._cleaned_at = time.monotonic()
                self._log_errors(
                    "delete old rows", lambda: retention.delete_old(self._database, self._settings, self._now())
                )
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _log_errors(self, name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  a thread that ends would leave everything waiting
            log.warning("the step %r failed and will be retried: %s: %s", name, type(error).__name__, error)


def _describe_safely(error: BaseException) -> str:
    """The type of the error and where it was raised; its message may quote personal data."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
