"""Limit concurrent requests by kind, so that slow ones never take all threads from quick ones.

Each request takes one place. The server has a thread for each place, and for each request that waits to hash
(`threads`):

* quick: as many at once as `server.threads` allows; more than that only contend for the interpreter lock.
* hashing: views that hash a password. `HASHING_PLACES` run at once, one hashing while the other reads the database or
  renders its page, and `MAX_HASHING_QUEUE` more wait for at most `MAX_HASHING_WAIT_SECONDS`. Further requests are
  refused at once with a page rendered beforehand (`foundation/web/busy_page`): under a flood of sign-ins most
  responses are such refusals, which must not crowd out other requests either.
* outbound: a quick request that waits for another server releases its place meanwhile (`place_released`). At most
  `MAX_OUTBOUND` do so; others are refused with `Busy`.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from threading import Lock
from typing import Any, Final
from wsgiref.types import StartResponse

from flask import Flask, has_request_context, request

from idp.foundation import runtime
from idp.foundation.errors import Busy
from idp.foundation.runtime import PerApplication
from idp.foundation.settings import HASHING_PLACES, Settings
from idp.foundation.web.busy_page import BusyPage
from idp.foundation.web.view import View

MAX_HASHING_QUEUE: Final = 8
"""How many requests may wait to hash; hashing for all of them takes about a third of a second."""
MAX_HASHING_WAIT_SECONDS: Final = 1.5
"""How long a request waits for its turn to hash before it is refused."""
MAX_OUTBOUND: Final = 8
"""Requests that may wait for other servers at the same time."""

HEALTH_PATH: Final = "/healthz"
"""Needs no place, so that the process looks alive even if all places wait for an unreachable database."""
PLACE_KEY: Final = "idp.place"
"""The WSGI environment key of the semaphore that gave a quick request its place."""


class FairSemaphore:
    """A semaphore whose `places` are given in the order of arrival.

    At most `max_waiting` threads wait for a place, each for at most `timeout` seconds (-1: without limit).
    """

    def __init__(self, places: int, *, max_waiting: float = float("inf"), timeout: float = -1) -> None:
        self._free, self._max_waiting, self._timeout = places, max_waiting, timeout
        self._queue: deque[Any] = deque()
        self._lock = Lock()

    def acquire(self) -> bool:
        """Take a place. False if too many wait already, or after the timeout."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._queue) >= self._max_waiting:
                return False
            turn = Lock()
            turn.acquire()
            self._queue.append(turn)
        if turn.acquire(timeout=self._timeout):
            return True
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
        return True  # the place was given just as the timeout passed

    def release(self) -> None:
        """Give the place to the thread that has waited longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1


@dataclass(frozen=True, slots=True)
class Admission:
    """What limits the requests of one application, in addition to the semaphore of quick requests."""

    hashing: FairSemaphore
    outbound: FairSemaphore
    busy_page: BusyPage
    """The response to requests that cannot wait to hash."""


ADMISSION: Final = PerApplication[Admission]()


def threads(settings: Settings) -> int:
    """How many threads a worker needs: one for each place, and for each request that waits to hash."""
    return settings.server.threads + HASHING_PLACES + MAX_HASHING_QUEUE + MAX_OUTBOUND


def hashes_passwords(view: View) -> View:
    """Mark a view that hashes a password when it is posted to."""
    view.hashes_passwords = True  # type: ignore[attr-defined]  # read by `_HashingRoutes`
    return view


def configure(app: Flask, settings: Settings) -> None:
    """Wrap `app` in middleware that gives each request its place."""
    quick = FairSemaphore(settings.server.threads)
    timeout = 60 if settings.environment == "test" else MAX_HASHING_WAIT_SECONDS  # tests share their processors
    hashing = FairSemaphore(HASHING_PLACES, max_waiting=MAX_HASHING_QUEUE, timeout=timeout)
    wrapped, is_hashing, busy_page = app.wsgi_app, _HashingRoutes(app), BusyPage(app)
    ADMISSION.set(app, Admission(hashing, FairSemaphore(MAX_OUTBOUND, max_waiting=0), busy_page))

    def middleware(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == HEALTH_PATH:
            return wrapped(environ, start_response)
        _read_body(environ, settings.server.max_body)
        places = hashing if is_hashing(environ) else quick
        if not places.acquire():
            return busy_page(environ, start_response)
        environ[PLACE_KEY if places is quick else runtime.MAY_HASH] = places
        try:
            return wrapped(environ, start_response)
        finally:
            places.release()

    app.wsgi_app = middleware  # type: ignore[method-assign]


def _read_body(environ: dict[str, Any], limit: int) -> None:
    """Read the body before a place is taken: a slow client then holds a thread, but no place.

    A body that is too large is not read here, and refused later by its length. One that comes in chunks is read as far
    as the limit and one byte more, and gets that length: without a length, Werkzeug cuts it off at a limit in silence.
    """
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal() and 0 < int(length) <= limit:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
    elif not length and "HTTP_TRANSFER_ENCODING" in environ:
        body = environ["wsgi.input"].read(limit + 1)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        del environ["HTTP_TRANSFER_ENCODING"]


def prepare(app: Flask) -> None:
    """Render the page of refusals now, because under load there is no time for it."""
    ADMISSION.for_app(app).busy_page.render_all()


class _HashingRoutes:
    """Whether a request is for a view that hashes passwords; decided before Flask matches the route."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._paths: re.Pattern[str] | None = None

    def __call__(self, environ: dict[str, Any]) -> bool:
        if environ["REQUEST_METHOD"] != "POST":
            return False
        if self._paths is None:  # not before the first request are all routes known
            views, rules = self._app.view_functions, self._app.url_map.iter_rules()
            paths = [rule.rule for rule in rules if hasattr(views[rule.endpoint], "hashes_passwords")]
            self._paths = re.compile("|".join(re.sub("<[^>]+>", "[^/]+", path) for path in paths))
        return self._paths.fullmatch(environ["PATH_INFO"]) is not None


@contextmanager
def place_released() -> Iterator[None]:
    """Release the place of a quick request while it waits for another server. Raises `Busy` if too many do already.

    The caller must hold no database connection meanwhile. In commands, jobs and views that hash it does nothing.
    """
    places: FairSemaphore | None = request.environ.pop(PLACE_KEY, None) if has_request_context() else None
    if places is None:
        yield
        return
    outbound = ADMISSION.get().outbound
    if not outbound.acquire():
        request.environ[PLACE_KEY] = places
        raise Busy(reason="too many requests wait for other servers")
    places.release()
    try:
        yield
    finally:
        outbound.release()
        places.acquire()
        request.environ[PLACE_KEY] = places
