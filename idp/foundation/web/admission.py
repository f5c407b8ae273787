"""Which requests may run: slow ones are counted before they wait, so that quick ones always have a thread.

Each request takes one place, and the server has a thread for each place and for each who waits to hash (`threads`):

* quick: as many at once as `server.threads` says; more than that only contend for the interpreter lock.
* hashing: views that hash a password. `HASHING` run at once, one hashing while the other reads from the database or
  writes its page, and `WAITING` more wait for at most `PATIENCE` seconds. Whoever comes beyond that is refused at once
  by a page made beforehand (`foundation/web/busy`): a flood of sign-ins is a flood of refusals, which must not crowd
  out the others either.
* aside: a quick request that waits for another server (`aside`) gives its place back meanwhile. At most `ASIDE`
  do so; others are refused with `Busy`.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from threading import Lock
from typing import Any, Final
from wsgiref.types import StartResponse

from flask import Flask, has_request_context, request
from flask.typing import ResponseReturnValue

from idp.foundation import runtime
from idp.foundation.errors import Busy
from idp.foundation.runtime import PerApplication
from idp.foundation.settings import HASHING, Settings
from idp.foundation.web import busy

WAITING: Final = 8
"""About a third of a second of hashing."""
PATIENCE: Final = 1.5
"""Seconds that a request waits for its turn to hash, and then is refused."""
ASIDE: Final = 8
"""Requests that may wait for other servers at the same time."""

ALIVE: Final = "/healthz"
"""Needs no place: requests that wait for a database that is away do not make this process look dead."""
TURNSTILE: Final = "idp.turnstile"
"""Where the environment of a quick request has the turnstile that it has passed."""

View = Callable[..., ResponseReturnValue]


class Turnstile:
    """Lets `places` in at once, in the order they came; at most `waiting` wait, for at most `patience` seconds."""

    def __init__(self, places: int, *, waiting: float = float("inf"), patience: float = -1) -> None:
        self._free, self._most, self._patience = places, waiting, patience
        self._queue: deque[Any] = deque()
        self._lock = Lock()

    def enter(self) -> bool:
        """Take a place. False if too many wait already, or it took too long."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._queue) >= self._most:
                return False
            turn = Lock()
            turn.acquire()
            self._queue.append(turn)
        if turn.acquire(timeout=self._patience):
            return True
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
        return True  # its turn came at the last moment

    def leave(self) -> None:
        """Give the place to the request that has waited longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1


@dataclass(frozen=True, slots=True)
class Admission:
    """What one application admits by, besides the turnstile of quick requests."""

    hashing: Turnstile
    aside: Turnstile
    refuse: busy.Page
    """The answer to requests that find no room to hash."""


ADMISSION: Final = PerApplication[Admission]()


def threads(settings: Settings) -> int:
    """How many threads a worker needs: one for each place, and for each who waits to hash."""
    return settings.server.threads + HASHING + WAITING + ASIDE


def hashes(view: View) -> View:
    """A view that hashes a password when it is posted to."""
    view.hashes = True  # type: ignore[attr-defined]  # read by `_slow`
    return view


def configure(app: Flask, settings: Settings) -> None:
    """Put the turnstiles around `app`."""
    quick = Turnstile(settings.server.threads)
    patience = 60 if settings.environment == "test" else PATIENCE  # tests share their processors
    hashing = Turnstile(HASHING, waiting=WAITING, patience=patience)
    inside, slow, refuse = app.wsgi_app, _Slow(app), busy.Page(app)
    ADMISSION.set(app, Admission(hashing, Turnstile(ASIDE, waiting=0), refuse))

    def admitted(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == ALIVE:
            return inside(environ, start_response)
        _read(environ, settings.server.max_body)
        turnstile = hashing if slow(environ) else quick
        if not turnstile.enter():
            return refuse(environ, start_response)
        environ[TURNSTILE if turnstile is quick else runtime.MAY_HASH] = turnstile
        try:
            return inside(environ, start_response)
        finally:
            turnstile.leave()

    app.wsgi_app = admitted  # type: ignore[method-assign]


def _read(environ: dict[str, Any], most: int) -> None:
    """Read the body before a place is taken: a client that sends it a byte at a time holds a thread, and no place.

    What is larger than we read is left alone, and refused by its length.
    """
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdecimal() and 0 < int(length) <= most:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
    elif not length and "HTTP_TRANSFER_ENCODING" in environ:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(most + 1))


def prepare(app: Flask) -> None:
    """Make the page of refusals now: when there is a crowd, there is no time for it."""
    ADMISSION.of(app).refuse.make()


class _Slow:
    """Whether a request is for a view that hashes; asked before Flask looks for the view."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._paths: re.Pattern[str] | None = None

    def __call__(self, environ: dict[str, Any]) -> bool:
        if environ["REQUEST_METHOD"] != "POST":
            return False
        if self._paths is None:  # not before the first request are all routes known
            views = self._app.view_functions
            rules = [each.rule for each in self._app.url_map.iter_rules() if hasattr(views[each.endpoint], "hashes")]
            self._paths = re.compile("|".join(re.sub("<[^>]+>", "[^/]+", rule) for rule in rules))
        return self._paths.fullmatch(environ["PATH_INFO"]) is not None


@contextmanager
def aside() -> Iterator[None]:
    """Wait for another server without holding the place of a quick request. Raises `Busy` if too many wait already.

    Hold no database connection meanwhile. In commands, jobs and views that hash it does nothing.
    """
    passed: Turnstile | None = request.environ.pop(TURNSTILE, None) if has_request_context() else None
    if passed is None:
        yield
        return
    places = ADMISSION.get().aside
    if not places.enter():
        request.environ[TURNSTILE] = passed
        raise Busy(because="too many requests wait for other servers")
    passed.leave()
    try:
        yield
    finally:
        places.leave()
        passed.enter()
        request.environ[TURNSTILE] = passed
