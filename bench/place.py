"""A provider prepared in this process and served by another: every kind of request, as bytes, made beforehand."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlencode

from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import Table, insert, select

from bench import costs, served
from bench.costs import Environ, World
from bench.load import Asked
from bench.served import Run
from idp.foundation import clock, crypto, database
from idp.foundation.web.transactions import work
from idp.oidc.models import Code
from tests.factories import PASSWORD, an_administrator
from tests.ports import free_port

PEOPLE: Final = 30
"""Who sign in, in turn: so many that hardly anyone has ten sessions, of which the oldest would have to end."""
CODES: Final = {"ES256": "token: code, all ES256", "RS256": "token: code, ID token RS256"}
MIX: Final = {
    "token: refresh": 30, "introspect": 30, "userinfo": 13, "token: client_credentials": 10, "par": 4,
    "authorize, nothing to ask": 4, CODES["ES256"]: 2, CODES["RS256"]: 2, "jwks": 2, "discovery": 2, "sign-in": 1,
}  # fmt: skip
"""A school morning: of a hundred requests, how many are what (performance.md §7)."""
WORDS: Final = {
    "jwks": '"kty"', "discovery": '"issuer"', "authorize, nothing to ask": "code=", "par": "request_uri",
    CODES["ES256"]: "id_token", CODES["RS256"]: "id_token", "introspect": '"sub"', "userinfo": '"sub"',
    "sign-in page": 'name="username"', "sign-in": "session=",
}  # fmt: skip
"""What has to stand in the answer; an access token otherwise."""


@dataclass
class Endpoint:
    """One kind of request, or several, and what came of asking."""

    name: str
    make: Callable[[int], Sequence[Asked]]
    """The requests for so many times."""
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The most answers per second that a run had."""
        return max(run.rate for run in self.runs)

    @property
    def per_processor(self) -> float:
        """The most answers per second of the server's processor time that a run had."""
        return max(run.per_processor for run in self.runs)


class Place:
    """A provider on the empty database behind `url`; to be served by `served.idp(url, port)`."""

    def __init__(self, url: str) -> None:
        self.url, self.port = url, free_port()
        self.world = World(url, f"http://127.0.0.1:{self.port}")
        self.endpoints = {each.name: each for each in self._endpoints()}
        self.mix = Endpoint("the mix", self._mixed)

    def end_read_transaction(self) -> None:
        """Close our connections to the database: it is the server's now."""
        with self.world.app.app_context():
            database.db.engine.dispose()

    def _endpoints(self) -> Iterator[Endpoint]:
        """Those of `costs`, and signing in. What a proof of possession adds is measured there."""
        for subject in self.world.subjects():
            if subject.name in costs.GOALS and subject.name not in CODES.values():
                yield self._again(subject.name, subject.status, [self.wire(next(iter(subject.requests(1))))])
        for alg, name in CODES.items():
            yield Endpoint(name, self._exchanges(alg, name))
        yield self._again("sign-in page", "200", [self.wire(self.world.get("/sign-in"))])
        yield Endpoint("sign-in", self._sign_ins())

    @staticmethod
    def _again(name: str, status: str, wired: Sequence[bytes]) -> Endpoint:
        """One whose requests are good any number of times."""
        asked = [Asked(name, wired, int(status), WORDS.get(name, "access_token"))]
        return Endpoint(name, lambda _times: asked)

    def wire(self, environ: Environ) -> bytes:
        """A WSGI request as the bytes that would have caused it."""
        headers = {
            name[5:]: value for name, value in environ.items() if name.startswith("HTTP_") and name != "HTTP_HOST"
        }
        if kind := environ.get("CONTENT_TYPE"):
            headers["Content_Type"] = kind
        target = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else "")
        body = environ["wsgi.input"].read()
        return served.request(environ["REQUEST_METHOD"], target, self.port, body, **headers)

    def _exchanges(self, alg: str, name: str) -> Callable[[int], Sequence[Asked]]:
        """Token requests, each with a code of its own."""
        form = {"grant_type": "authorization_code", "redirect_uri": costs.CALLBACK, "code_verifier": costs.VERIFIER}

        def make(times: int) -> Sequence[Asked]:
            client, codes = self.world.clients[alg], self._codes(alg, times)
            wired = [self.wire(self.world.post("/oauth/token", form | {"code": code}, client)) for code in codes]
            return [Asked(name, wired, 200, WORDS[name], once=True)]

        return make

    def _codes(self, alg: str, times: int) -> list[str]:
        """A real code's copies, which differ from it in their secret, their lineage and how long they are good."""
        real, copies = self.world.code(alg), [crypto.new_secret() for _ in range(times)]
        table = cast("Table", Code.__table__)
        with work(self.world.app):
            row = database.connection().execute(select(table).where(table.c.digest == crypto.digest(real))).one()
            like = {**row._mapping, "expires_at": clock.now() + timedelta(hours=1)}  # noqa: SLF001  its public name
            rows = [like | {"digest": crypto.digest(one), "lineage": crypto.new_id("lin")} for one in copies]
            database.connection().execute(insert(table), rows)
        return copies

    def _sign_ins(self) -> Callable[[int], Sequence[Asked]]:
        """The forms of people who sign in where they did before; made when they are first wanted."""
        asked: list[Asked] = []

        def make(_times: int) -> Sequence[Asked]:
            if not asked:
                with work(self.world.app):
                    names = [an_administrator().username for _ in range(PEOPLE)]
                asked.append(Asked("sign-in", [self._sign_in(name) for name in names], 303, WORDS["sign-in"]))
            return asked

        return make

    def _sign_in(self, name: str) -> bytes:
        """The second form that this browser sends: from the first on, it is known to the person."""
        browser, issuer = FlaskClient(self.world.app), self.world.issuer
        for _ in range(2):
            page = browser.get("/sign-in?next=/register", base_url=issuer)
            token = BeautifulSoup(page.text, "html.parser").select_one("input[name=csrf_token]")
            if token is None:
                raise RuntimeError("the sign-in page has no form")
            typed = {"username": name, "password": PASSWORD, "csrf_token": str(token["value"]), "sign-in": "1"}
            cookies = "; ".join(f"{one.key}={one.value}" for one in (browser._cookies or {}).values())  # noqa: SLF001
            if browser.post("/sign-in", data=typed, base_url=issuer).status_code != 303:
                raise RuntimeError("signing in beforehand did not work")
            browser.delete_cookie("session", domain="127.0.0.1")
        headers: dict[str, Any] = {"Cookie": cookies, "Content_Type": "application/x-www-form-urlencoded"}
        return served.request("POST", "/sign-in", self.port, urlencode(typed).encode(), **headers)

    def _mixed(self, times: int) -> list[Asked]:
        """Everything, each as often as in `MIX`, evenly spread."""
        asked = {name: self.endpoints[name].make(times * share // 100 + 50)[0] for name, share in MIX.items()}
        turns = [((turn + 0.5) / share, name) for name, share in MIX.items() for turn in range(share)]
        return [asked[name] for _, name in sorted(turns)]
