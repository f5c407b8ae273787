"""The agent at work: it reports in, makes extracts, and sends them; once, or on a schedule until stopped."""

import logging
import platform
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from . import __version__, extract, readers
from .errors import AgentError, ExtractFailed, ServerUnreachable, SharingInterrupted
from .extract import Extract
from .home import Pending
from .session import Session
from .upload import ExtractRefused, SchoolUnverified, UnknownExtract, Upload

log = logging.getLogger(__name__)

MAX_MESSAGE_LENGTH: Final = 300
MAX_NAME_LENGTH: Final = 100
JITTER: Final = 0.1
"""The fraction by which intervals vary at random, so that thousands of schools do not report at the same time."""
FIRST_BACKOFF_SECONDS: Final = 15.0
MAX_BACKOFF_SECONDS: Final = 900.0
MAX_PENDING_SECONDS: Final = 24 * 3600
"""An extract older than this is made anew: it is out of date, and the receiver has deleted the part that it had."""
MIN_REPORT_SECONDS: Final = 5
MAX_REPORT_SECONDS: Final = 6 * 3600


class View(Protocol):
    """What shows the progress of an extract."""

    def reading(self, collection: str, count: int) -> None:
        """`count` records of the collection have been read."""
        ...

    def sending(self, sent: int, total: int) -> None:
        """`sent` of `total` bytes of the extract have been received."""
        ...


class Silent:
    """A `View` that shows nothing."""

    def reading(self, collection: str, count: int) -> None:
        """See `View.reading`."""

    def sending(self, sent: int, total: int) -> None:
        """See `View.sending`."""


@dataclass
class Agent:
    """The endpoint with the registration in `session`."""

    session: Session
    view: View = field(default_factory=Silent)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    accept_fewer: bool = False
    """Send an extract even if it has far fewer people than the one before."""
    logged_status: str = ""
    """Why nothing is sent, as it was last logged: the status of the school, or the code of an error."""

    def report(self, *, replaces: bool = False) -> dict[str, Any]:
        """Report in; returns the provider's response. Raises what `Provider.report` does."""
        state = self.session.state
        body: dict[str, Any] = {
            "name": state.name[:MAX_NAME_LENGTH], "mis": state.mis, "agent_version": __version__,
            "platform": platform.platform(terse=True)[:MAX_NAME_LENGTH], "last_extract": state.last_extract,
            "last_error": state.last_error,
        }  # fmt: skip
        if replaces:
            body["replaces"] = True
        response = self.session.call(lambda token: self.session.provider.report(token, body))
        interval = response.get("report_every_seconds")
        self.session.save(
            resource=str(response.get("resource") or state.resource).rstrip("/"),
            estab_id=str(response.get("estab_id") or ""), estab_status=str(response.get("estab_status") or ""),
            endpoint_state=str(response.get("state") or ""),
            connected_until=str(response.get("connected_until") or ""), reported_at=_utc(self.now()),
            report_every_seconds=_clamp(interval, MIN_REPORT_SECONDS, MAX_REPORT_SECONDS, state.report_every_seconds),
            clock_off_seconds=self.session.connection.skew,
        )  # fmt: skip
        return response

    def round(self, *, wanted: bool = False) -> bool:
        """Report in, and send an extract if one is due or `wanted`; returns whether an extract was applied.

        An error in an extract is stored for `status`, reported to the provider, and raised.
        """
        response = self.report()
        if not self._may_send():
            return False
        if not (wanted or response.get("extract_wanted") or self._is_due()):
            return False
        try:
            self._send()
        except AgentError as error:
            self._store_error(error)
            with suppress(ServerUnreachable):
                self.report()
            raise
        self.report()
        return True

    def run(self, is_stopping: Callable[[], bool]) -> None:
        """Report in and send extracts until `is_stopping`. Raises only errors that need a person (`exit_status` 3)."""
        backoff = FIRST_BACKOFF_SECONDS
        while not is_stopping():
            try:
                self.round()
                backoff, wait = FIRST_BACKOFF_SECONDS, float(self.session.state.report_every_seconds)
            except ServerUnreachable as error:
                log.warning("%s", error)
                wait = max(backoff, error.retry_after or 0)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            except SharingInterrupted as error:
                self._log_once(error.code, str(error))
                wait = float(self.session.state.report_every_seconds)
            except AgentError as error:
                if error.exit_status == 3:  # a person at this server is needed
                    raise
                log.error("%s", error)  # noqa: TRY400  plain words for a support person, without a traceback
                wait = float(self.session.state.report_every_seconds)
            self._sleep_interruptibly(wait, is_stopping)

    def _sleep_interruptibly(self, seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Sleep about `seconds`, or until the service is stopped."""
        remaining = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
        while remaining > 0 and not is_stopping():
            self.sleep(min(remaining, 1.0))
            remaining -= 1.0

    def _may_send(self) -> bool:
        status = self.session.state.estab_status
        if status == "verified":
            self.logged_status = ""
            return True
        self._log_once(status, WAITING_MESSAGES.get(status, WAITING_MESSAGES["unverified"]))
        return False

    def _log_once(self, reason: str, message: str) -> None:
        """Log why nothing is sent, unless that was the reason before."""
        if reason != self.logged_status:
            log.warning(message)
            self.logged_status = reason

    def _is_due(self) -> bool:
        state = self.session.state
        if state.pending is not None:
            return True
        since = self.now() - state.extract_tried_at_epoch
        interval = state.extract_every_seconds if state.last_error is None else state.report_every_seconds
        return not 0 <= since < interval * (1 - JITTER)

    def _send(self) -> None:
        pending = self._pending() or self._make()
        try:
            self._upload(pending)
        except UnknownExtract:
            log.info("The receiver does not know the extract any more; it is sent from the beginning.")
            self._upload(pending)
        except ExtractRefused:
            self.session.save(pending=None)
            self.session.home.clean(keep=None)
            raise

    def _pending(self) -> Pending | None:
        """The extract whose sending was begun before, if its file is complete and not too old."""
        state, home = self.session.state, self.session.home
        home.clean(keep=state.pending.file if state.pending else None)
        if state.pending is None:
            return None
        path = home.extracts / state.pending.file
        is_whole = path.is_file() and path.stat().st_size == state.pending.bytes
        age = self.now() + self.session.connection.skew - datetime.fromisoformat(state.pending.made_at).timestamp()
        if not is_whole or age > MAX_PENDING_SECONDS:
            log.warning("The extract of %s is too old or incomplete; a new one is made.", state.pending.made_at)
            self.session.save(pending=None)
            home.clean(keep=None)
            return None
        log.info("Continuing with the extract of %s.", state.pending.made_at)
        return state.pending

    def _make(self) -> Pending:
        state, home = self.session.state, self.session.home
        self.session.save(extract_tried_at_epoch=self.now())
        log.info("Reading %s.", readers.NAMES.get(state.mis, state.mis))
        credentials = readers.Credentials(state.mis_username, state.mis_password)
        reader = readers.make(state.mis, state.source, credentials, self.sleep)
        before = {} if self.accept_fewer else (state.last_extract or {}).get("records") or {}
        # By the provider's clock: the receiver refuses an extract dated in the future, or before the last one.
        made_at = _utc(self.now() + self.session.connection.skew)
        built = extract.make(home, state.mis, made_at, reader, before, self.view.reading)
        self._log_extract(built)
        self.session.save(pending=built.pending, problem_count=len(built.problems))
        return built.pending

    def _log_extract(self, built: Extract) -> None:
        counts = ", ".join(f"{count} {name}" for name, count in built.pending.records.items())
        log.info("Read %s; %d bytes to send.", counts, built.pending.bytes)
        if built.problems:
            lines = "\n".join(map(str, built.problems.listed))
            heading = f"{len(built.problems)} problems, {built.pending.made_at}"
            self.session.home.write_text("problems.txt", f"{heading}\n{lines}\n")
            log.warning("%d values or rows were wrong; problems.txt lists them by file and row.", len(built.problems))
        else:
            (self.session.home.folder / "problems.txt").unlink(missing_ok=True)

    def _upload(self, pending: Pending) -> None:
        path = self.session.home.extracts / pending.file
        response = Upload(self.session, pending, path, self.sleep, self.view.sending).send()
        before = (self.session.state.last_extract or {}).get("records") or {}
        last = {"id": pending.id, "sent_at": _utc(self.now()), "records": {**before, **pending.records}}
        error = _error("mis_partly_unreadable", pending.note, self.now()) if pending.note else None
        self.session.save(
            pending=None, last_extract=last, last_error=error, remedy="See the log." if error else "",
        )  # fmt: skip
        self.session.home.clean(keep=None)
        log.info("XporterOnDemand has the extract: %s.", describe_counts(response.get("counts")))

    def _store_error(self, failure: AgentError) -> None:
        """Store the error, for `status` and for the school's page."""
        if isinstance(failure, SchoolUnverified | SharingInterrupted):
            return
        error = _error(failure.code, f"{failure.message} {failure.remedy}", self.now())
        try:
            self.session.save(last_error=error, remedy=failure.remedy)
        except AgentError as storing_error:
            log.warning("The error could not be stored: %s", storing_error)


WAITING_MESSAGES: Final[Mapping[str, str]] = {
    "unverified": "The school is not verified yet, so no data is sent. Our staff telephone new schools within two "
    "working days; sending begins by itself after that.",
    "rejected": "The school was not accepted, so no data is sent. Ask support why.",
    "suspended": "The school is suspended, so no data is sent. Ask support why.",
    "closed": "The school is closed, so no data is sent. This program can be unregistered.",
}


def describe_counts(counts: Any) -> str:
    """What changed at the receiver, in words."""
    if not isinstance(counts, dict):
        return "no counts were given"
    parts = [
        f"{name} {', '.join(changes)}"
        for name, values in counts.items()
        if isinstance(values, dict)
        and (changes := [f"{number} {kind}" for kind, number in values.items() if number and kind != "total"])
    ]
    return "; ".join(parts) or "nothing changed"


def _error(code: str, message: str, at: float) -> dict[str, str]:
    printable = "".join(char if char.isprintable() else " " for char in message)
    return {"code": code, "message": printable[:MAX_MESSAGE_LENGTH], "at": _utc(at)}


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clamp(value: Any, minimum: int, maximum: int, default: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return default
    return min(max(value, minimum), maximum)


__all__ = ["WAITING_MESSAGES", "Agent", "ExtractFailed", "Silent", "View", "describe_counts"]
