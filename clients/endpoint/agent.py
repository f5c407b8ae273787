"""One endpoint at work: reports in, makes extracts, sends them; once, or for ever on a schedule."""

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
from .errors import AgentError, ExtractFailed, Unreachable
from .extract import Extract
from .home import Pending
from .session import Session
from .upload import ForgottenExtract, SchoolUnverified, Upload, UselessExtract

log = logging.getLogger(__name__)

MAX_MESSAGE_LENGTH: Final = 300
MAX_NAME_LENGTH: Final = 100
JITTER: Final = 0.1
"""By what part intervals differ, so that thousands of schools do not come at once."""
FIRST_BACKOFF_SECONDS: Final = 15.0
MAX_BACKOFF_SECONDS: Final = 900.0
MAX_PENDING_SECONDS: Final = 24 * 3600
"""After a longer break the extract is out of date, and the receiver has forgotten what it had of it."""
MIN_REPORT_SECONDS: Final = 5
MAX_REPORT_SECONDS: Final = 6 * 3600


class View(Protocol):
    """Who is told what is done: a terminal, or nothing but the log."""

    def reading(self, collection: str, count: int) -> None:
        """So many records of a collection were read."""
        ...

    def sending(self, sent: int, total: int) -> None:
        """So many bytes of the extract are with the receiver."""
        ...


class Silent:
    """Shows nothing."""

    def reading(self, collection: str, count: int) -> None:
        """See `View.reading`."""

    def sending(self, sent: int, total: int) -> None:
        """See `View.sending`."""


@dataclass
class Agent:
    """The endpoint of a session."""

    session: Session
    view: View = field(default_factory=Silent)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    accept_fewer: bool = False
    """Send an extract even if it has far fewer people than the one before."""
    is_waiting_logged: str = ""
    """The state of the school that was logged last as the reason for waiting."""

    def report(self, *, replaces: bool = False) -> dict[str, Any]:
        """Report in; returns the provider's answer. Raises what `Provider.report` does."""
        state = self.session.state
        body: dict[str, Any] = {
            "name": state.name[:MAX_NAME_LENGTH], "mis": state.mis, "agent_version": __version__,
            "platform": platform.platform(terse=True)[:MAX_NAME_LENGTH], "last_extract": state.last_extract,
            "last_error": state.last_error,
        }  # fmt: skip
        if replaces:
            body["replaces"] = True
        answer = self.session.call(lambda token: self.session.provider.report(token, body))
        every = answer.get("report_every_seconds")
        self.session.save(
            resource=str(answer.get("resource") or state.resource).rstrip("/"),
            estab_id=str(answer.get("estab_id") or ""), estab_status=str(answer.get("estab_status") or ""),
            endpoint_state=str(answer.get("state") or ""), reported_at=_utc(self.now()),
            report_every_seconds=_between(every, MIN_REPORT_SECONDS, MAX_REPORT_SECONDS, state.report_every_seconds),
            clock_off_seconds=self.session.connection.skew,
        )  # fmt: skip
        return answer

    def round(self, *, wanted: bool = False) -> bool:
        """Report in, and send what is due, `wanted` or not; whether an extract was applied.

        What goes wrong with an extract is kept for `status` and reported in, and raised.
        """
        answer = self.report()
        if not self._may_send():
            return False
        if not (wanted or answer.get("extract_wanted") or self._is_due()):
            return False
        try:
            self._send()
        except AgentError as fault:
            self._note(fault)
            with suppress(Unreachable):
                self.report()
            raise
        self.report()
        return True

    def run(self, is_stopping: Callable[[], bool]) -> None:
        """Work until `is_stopping`. Raises only what cannot get better by itself (`RegistrationEnded` …)."""
        backoff = FIRST_BACKOFF_SECONDS
        while not is_stopping():
            try:
                self.round()
                backoff, wait = FIRST_BACKOFF_SECONDS, float(self.session.state.report_every_seconds)
            except Unreachable as fault:
                log.warning("%s", fault)
                wait = max(backoff, fault.retry_after or 0)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            except AgentError as fault:
                if fault.exit_status == 3:  # a person at this server is needed
                    raise
                log.error("%s", fault)  # noqa: TRY400  plain words for a support person, without a traceback
                wait = float(self.session.state.report_every_seconds)
            self._rest(wait, is_stopping)

    def _rest(self, seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Sleep, and wake soon if the service is stopped."""
        left = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
        while left > 0 and not is_stopping():
            self.sleep(min(left, 1.0))
            left -= 1.0

    def _may_send(self) -> bool:
        status = self.session.state.estab_status
        if status == "verified":
            self.is_waiting_logged = ""
            return True
        if status != self.is_waiting_logged:
            log.warning(WAITING.get(status, WAITING["unverified"]))
            self.is_waiting_logged = status
        return False

    def _is_due(self) -> bool:
        state = self.session.state
        if state.pending is not None:
            return True
        since = self.now() - state.extract_tried_at_epoch
        every = state.extract_every_seconds if state.last_error is None else state.report_every_seconds
        return not 0 <= since < every * (1 - JITTER)

    def _send(self) -> None:
        pending = self._pending() or self._make()
        try:
            self._upload(pending)
        except ForgottenExtract:
            log.info("The receiver does not know the extract any more; it is sent from the beginning.")
            self._upload(pending)
        except UselessExtract:
            self.session.save(pending=None)
            self.session.home.clean(keep=None)
            raise

    def _pending(self) -> Pending | None:
        """The extract that was begun before, if its file is still whole."""
        state, home = self.session.state, self.session.home
        home.clean(keep=state.pending.file if state.pending else None)
        if state.pending is None:
            return None
        path = home.extracts / state.pending.file
        is_whole = path.is_file() and path.stat().st_size == state.pending.bytes
        age = self.now() + self.session.connection.skew - datetime.fromisoformat(state.pending.made_at).timestamp()
        if not is_whole or age > MAX_PENDING_SECONDS:
            log.warning("The extract of %s is old or not whole any more; a new one is made.", state.pending.made_at)
            self.session.save(pending=None)
            home.clean(keep=None)
            return None
        log.info("Going on with the extract of %s.", state.pending.made_at)
        return state.pending

    def _make(self) -> Pending:
        state, home = self.session.state, self.session.home
        self.session.save(extract_tried_at_epoch=self.now())
        log.info("Reading %s.", readers.NAMES.get(state.mis, state.mis))
        credentials = readers.Credentials(state.mis_username, state.mis_password)
        reader = readers.make(state.mis, state.source, credentials, self.sleep)
        before = {} if self.accept_fewer else (state.last_extract or {}).get("records") or {}
        # In the provider's time: the receiver takes no extract of the future, and none older than the last one.
        made_at = _utc(self.now() + self.session.connection.skew)
        made = extract.make(home, state.mis, made_at, reader, before, self.view.reading)
        self._log_made(made)
        self.session.save(pending=made.pending)
        return made.pending

    def _log_made(self, made: Extract) -> None:
        counts = ", ".join(f"{count} {name}" for name, count in made.pending.records.items())
        log.info("Read %s; %d bytes to send.", counts, made.pending.bytes)
        if made.problems:
            lines = "\n".join(map(str, made.problems.listed))
            heading = f"{len(made.problems)} problems, {made.pending.made_at}"
            self.session.home.write_text("problems.txt", f"{heading}\n{lines}\n")
            log.warning("%d values or rows were wrong; problems.txt lists them by file and row.", len(made.problems))
        else:
            (self.session.home.folder / "problems.txt").unlink(missing_ok=True)

    def _upload(self, pending: Pending) -> None:
        path = self.session.home.extracts / pending.file
        answer = Upload(self.session, pending, path, self.sleep, self.view.sending).send()
        before = (self.session.state.last_extract or {}).get("records") or {}
        last = {"id": pending.id, "sent_at": _utc(self.now()), "records": {**before, **pending.records}}
        error = _error("mis_partly_unreadable", pending.note, self.now()) if pending.note else None
        self.session.save(
            pending=None, last_extract=last, last_error=error, remedy="See the log." if error else "",
        )  # fmt: skip
        self.session.home.clean(keep=None)
        log.info("XporterOnDemand has the extract: %s.", describe_counts(answer.get("counts")))

    def _note(self, fault: AgentError) -> None:
        """Keep what went wrong, for `status` and for the school's page."""
        if isinstance(fault, SchoolUnverified):
            return
        log.warning("%s", fault)
        error = _error(fault.code, f"{fault.message} {fault.remedy}", self.now())
        try:
            self.session.save(last_error=error, remedy=fault.remedy)
        except AgentError as second:
            log.warning("That could not be noted: %s", second)


WAITING: Final[Mapping[str, str]] = {
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


def _between(value: Any, least: int, most: int, otherwise: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return otherwise
    return min(max(value, least), most)


__all__ = ["WAITING", "Agent", "ExtractFailed", "Silent", "View", "describe_counts"]
