"""Sends an extract to the receiver in pieces, and resumes after an interruption."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import ExtractFailed, RequestRefused, ServerUnreachable
from .home import Pending
from .session import Session

log = logging.getLogger(__name__)

MAX_TRIES: Final = 6
"""For one piece, before sending is put off until the next report."""
MAX_WAIT_SECONDS: Final = 60.0
CHECK_SECONDS: Final = 1.0
MAX_CHECKS: Final = 120
DEFAULT_PIECE_BYTES: Final = 4 << 20

Progress = Callable[[int, int], None]
"""Called with the number of bytes received, and that of all bytes."""


class UnknownExtract(Exception):
    """The receiver does not know the extract, which has to be announced again."""


class ExtractRefused(ExtractFailed):
    """The receiver does not accept the extract: a new one has to be made."""

    code = "extract_refused"


class SchoolUnverified(ExtractFailed):
    """The receiver takes nothing from a school that is not verified yet."""

    code = "school_unverified"

    def __init__(self) -> None:
        super().__init__(
            "The school is not verified yet, so its data stays here.",
            "Our staff telephone new schools within two working days. Sending begins by itself after that.",
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """One extract on its way. `sleep` waits; `progress` is called with each piece."""

    session: Session
    pending: Pending
    path: Path
    sleep: Callable[[float], None]
    progress: Progress

    def send(self) -> dict[str, Any]:
        """Send what is missing, and wait until the receiver has applied it; returns its response.

        Raises `ExtractRefused`, `SchoolUnverified`, and `ServerUnreachable` if the rest has to wait.
        """
        response = self._begin()
        if response.get("state") == "receiving":
            response = self._send_pieces(response)
        return self._outcome(response)

    def _begin(self) -> dict[str, Any]:
        """Announce the extract; if it was announced before, the response has the number of bytes received."""
        announcement = {
            "id": self.pending.id, "mis": self.session.state.mis, "bytes": self.pending.bytes,
            "sha256": self.pending.sha256, "made_at": self.pending.made_at,
        }  # fmt: skip
        return self._retry(lambda: self._request("POST", "", json=announcement))

    def _send_pieces(self, response: dict[str, Any]) -> dict[str, Any]:
        size = _whole_number(response.get("max_piece_bytes"), DEFAULT_PIECE_BYTES)
        offset, stalled = _whole_number(response.get("offset"), 0), 0
        with self.path.open("rb") as file:
            while response.get("state") == "receiving" and stalled < MAX_TRIES:
                self.progress(offset, self.pending.bytes)
                file.seek(offset)
                piece = file.read(size)
                response = self._retry(lambda piece=piece, offset=offset: self._piece(piece, offset))  # type: ignore[misc]
                new_offset = _whole_number(response.get("offset"), self.pending.bytes)
                stalled = 0 if new_offset > offset else stalled + 1
                offset = new_offset
        if stalled:
            raise ExtractRefused("The upload makes no progress.", "A new one is made next time.")
        self.progress(self.pending.bytes, self.pending.bytes)
        return response

    def _piece(self, piece: bytes, offset: int) -> dict[str, Any]:
        headers = {"Content-Type": "application/octet-stream", "Upload-Offset": str(offset)}
        try:
            return self._request("PATCH", f"/{self.pending.id}", data=piece, headers=headers)
        except RequestRefused as error:
            if error.error != "offset_mismatch":
                raise
            log.info("The receiver has %s bytes already; sending continues from there.", error.document.get("offset"))
            return {"state": "receiving", "offset": error.document.get("offset")}

    def _outcome(self, response: dict[str, Any]) -> dict[str, Any]:
        for _ in range(MAX_CHECKS):
            if response.get("state") == "applied" and "counts" in response:
                return response
            if response.get("state") == "refused":
                raise ExtractRefused(f"The extract was refused: {_reason(response)}.", "Another one is made next time.")
            if response.get("state") == "receiving":
                raise ExtractRefused("The receiver lost a part of the extract.", "Another one is made next time.")
            if response.get("state") == "checking":
                self.sleep(CHECK_SECONDS)
            response = self._retry(lambda: self._request("GET", f"/{self.pending.id}"))
        raise ServerUnreachable("XporterOnDemand has not finished checking the extract.", "It is asked again later.")

    def _retry(self, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Call `function`, and again for a few minutes while the receiver is unreachable.

        Raises `ServerUnreachable` after that, or at once if the receiver wants a longer wait (Retry-After).
        """
        for attempt in range(MAX_TRIES):
            try:
                return function()
            except ServerUnreachable as error:
                if attempt == MAX_TRIES - 1 or (error.retry_after or 0) > MAX_WAIT_SECONDS:
                    raise
                wait = min(max(2.0**attempt, error.retry_after or 0), MAX_WAIT_SECONDS)
                log.info("%s Trying again in %d seconds.", error.message, wait)
                self.sleep(wait)
        raise AssertionError

    def _request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        url = f"{self.session.state.resource}/v1/extracts{path}"
        try:
            return self.session.send(method, url, **options)
        except RequestRefused as error:
            if error.error == "school_unverified":
                raise SchoolUnverified from error
            if error.status == 404 and path:
                raise UnknownExtract from error
            if error.status in {400, 409, 413, 422} and error.error != "offset_mismatch":
                raise ExtractRefused(
                    error.message, "Another one is made next time; if this stays, tell support."
                ) from error
            raise


def _reason(response: dict[str, Any]) -> str:
    problems = response.get("problems")
    first = problems[0] if isinstance(problems, list) and problems and isinstance(problems[0], dict) else {}
    return str(first.get("message") or response.get("code") or "no reason was given")[:200]


def _whole_number(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
