"""JSON over HTTP, a page at a time: what the readers of Arbor and iSAMS have in common.

A page that cannot be read is requested again, after the time that the MIS names (Retry-After) or a growing one.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import requests

from ..http_session import new_session
from ..records import Problems, UnreadableReport
from .tables import Row

TIMEOUT_SECONDS: Final = 60
MAX_TRIES: Final = 8
MAX_WAIT_SECONDS: Final = 120.0
MAX_PAGES: Final = 20_000
MAX_PAGE_BYTES: Final = 64 << 20
CHUNK_BYTES: Final = 1 << 16


class SignIn(Protocol):
    """How requests to an MIS are authenticated."""

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        """The headers of a request; `renew` after the MIS refused the last ones. Raises `UnreadableReport`."""
        ...


@dataclass
class JsonPages:
    """The lists of an MIS's API, by the last part of their URL."""

    mis: str
    url: str
    """The URL of the API; the name of a list is added to it."""
    page_parameters: Callable[[int], Mapping[str, str]]
    sign_in: SignIn
    wait: Callable[[float], None]
    page_size: int
    has_headings: bool = False
    session: requests.Session = field(default_factory=new_session)

    def name(self, source: str) -> str:
        """The list, as the MIS calls it."""
        return f"{self.mis} {source}"

    def rows(self, source: str, problems: Problems) -> Iterator[tuple[int, Row]]:
        """The items of a list, each as a row with dotted names. Raises `UnreadableReport`.

        The list ends with a page that is empty, or shorter than the one before: an MIS may give fewer items than are
        asked for, so the first page says how many a full one has.
        """
        number, total = 0, None
        last: list[Any] = []
        for page_number in range(1, MAX_PAGES):
            document = self._page(source, page_number)
            items = document.get(source)
            if not isinstance(items, list):
                raise UnreadableReport(
                    f"{self.mis} responded without {source}. Its interface may have changed: tell support."
                )
            if items and items == last:
                if page_number > 2 or len(items) >= self.page_size:
                    raise UnreadableReport(f"{self.mis} gives the same page of {source} again and again: tell support.")
                items = []  # it gives its last page, the only one, for each number after it
            for item in items:
                number += 1
                if isinstance(item, dict):
                    yield number, _flatten(item)
                else:
                    problems.add(self.name(source), number, "", "is not an object, so it was left out")
            total = _check_total(document, total, f"{self.mis} {source}")
            if len(items) < max(len(last), 1):
                _check_count(total, number, f"{self.mis} {source}")
                return
            last = items
        raise UnreadableReport(f"{self.mis} gives pages of {source} without end: tell support.")

    def _page(self, source: str, number: int) -> dict[str, Any]:
        url, renew, message = f"{self.url}/{source}", False, ""
        for attempt in range(MAX_TRIES):
            try:
                response = self.session.get(
                    url, params=self.page_parameters(number), headers=self.sign_in.headers(renew=renew),
                    timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True,
                )  # fmt: skip
                content = _content(response, self.mis)
            except requests.RequestException as error:
                message = f"{self.mis} cannot be reached ({type(error).__name__}). Check the network and the address"
                self.wait(_backoff(attempt))
                continue
            if response.status_code == 200:
                return _document(content, self.mis)
            if response.status_code == 401 and not renew:
                renew = True
                continue
            if response.status_code in {401, 403}:
                raise UnreadableReport(
                    f"{self.mis} refuses {source} ({response.status_code}). Check the username, the password, and what "
                    f"this account may read there; then register again."
                )
            if response.status_code != 429 and response.status_code < 500:
                status = response.status_code
                raise UnreadableReport(f"{self.mis} responded with {status} for {source}. Check its address.")
            message = f"{self.mis} is busy or broken ({response.status_code} for {source}). The agent will try again"
            self.wait(_retry_after(response) or _backoff(attempt))
        raise UnreadableReport(f"{message}.")


def _content(response: requests.Response, mis: str) -> bytes:
    """The body of the response. Raises `UnreadableReport` if it is longer than `MAX_PAGE_BYTES`."""
    with response:
        content = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_PAGE_BYTES:
                raise UnreadableReport(f"{mis} responded with too much at once: tell support.")
    return bytes(content)


def _document(content: bytes, mis: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnreadableReport(f"{mis} did not respond with JSON. Is its address right?") from error
    if not isinstance(document, dict):
        raise UnreadableReport(f"{mis} responded with JSON of another form. Is its address right?")
    return document


def _check_total(document: dict[str, Any], before: int | None, name: str) -> int | None:
    """How many items the MIS counts in all; None if it does not say. Raises `UnreadableReport` if that has changed.

    An item that was added or deleted meanwhile shifts the pages, so that another is given twice or not at all.
    """
    total = document.get("totalCount")
    if not isinstance(total, int):
        return before
    if before is not None and total != before:
        raise _changed(name)
    return total


def _check_count(total: int | None, number: int, name: str) -> None:
    """Raise `UnreadableReport` unless as many items were read as the MIS counts."""
    if total is not None and total != number:
        raise _changed(name)


def _changed(name: str) -> UnreadableReport:
    return UnreadableReport(f"{name} changed while it was read. It is read again next time.")


def _backoff(attempt: int) -> float:
    return float(min(2**attempt, MAX_WAIT_SECONDS))


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait, from a number of seconds or a date (RFC 9110 §10.2.3)."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_WAIT_SECONDS)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 1.0), MAX_WAIT_SECONDS)


def _flatten(item: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"person": {"dob": …}}` as `{"person.dob": …}`; lists stay as they are."""
    row: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, dict) and prefix.count(".") < 5:
            row |= _flatten(value, f"{prefix}{name}.")
        else:
            row[prefix + name] = value
    return row
