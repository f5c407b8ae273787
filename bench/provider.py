"""A provider whose data and requests are prepared in this process, and which another process serves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlencode

from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import Table, insert, select

from bench import costs, servers
from bench.costs import Environ, World
from bench.load import RequestKind
from bench.servers import Run
from idp.foundation import clock, crypto, database
from idp.foundation.web.transactions import transaction
from idp.oidc.models import Code
from tests.factories import PASSWORD, an_administrator
from tests.ports import free_port

PEOPLE: Final = 30
"""They sign in by turns; with this number, hardly anyone exceeds ten sessions, which would end the oldest."""
CODES: Final = {"ES256": "token: code, all ES256", "RS256": "token: code, ID token RS256"}
MIX: Final = {
    "token: refresh": 30, "introspect": 30, "userinfo": 13, "token: client_credentials": 10, "par": 4,
    "authorize, nothing to ask": 4, CODES["ES256"]: 2, CODES["RS256"]: 2, "jwks": 2, "discovery": 2, "sign-in": 1,
}  # fmt: skip
"""A school morning: the share of each kind of request in per cent (performance.md §7)."""
EXPECTED_TEXTS: Final = {
    "jwks": '"kty"', "discovery": '"issuer"', "authorize, nothing to ask": "code=", "par": "request_uri",
    CODES["ES256"]: "id_token", CODES["RS256"]: "id_token", "introspect": '"sub"', "userinfo": '"sub"',
    "sign-in page": 'name="username"', "sign-in": "session=",
}  # fmt: skip
"""The text that a response must have; by default `access_token`."""


@dataclass
class Endpoint:
    """Requests of one or several kinds, and the results of their runs."""

    name: str
    make: Callable[[int], Sequence[RequestKind]]
    """Makes enough requests for that many sendings."""
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Responses per second of the best run."""
        return max(run.rate for run in self.runs)

    @property
    def per_processor(self) -> float:
        """Responses per second of processor time of the best run."""
        return max(run.per_processor for run in self.runs)


class Provider:
    """A provider on the empty database at `url`, to be served by `servers.idp(url, port)`."""

    def __init__(self, url: str) -> None:
        self.url, self.port = url, free_port()
        self.world = World(url, f"http://127.0.0.1:{self.port}")
        self.endpoints = {endpoint.name: endpoint for endpoint in self._endpoints()}
        self.mix = Endpoint("the mix", self._mixed)

    def disconnect(self) -> None:
        """Close this process's connections to the database before the server uses it."""
        with self.world.app.app_context():
            database.db.engine.dispose()

    def _endpoints(self) -> Iterator[Endpoint]:
        """Those of `costs`, and signing in; the cost of DPoP is measured there."""
        for subject in self.world.subjects():
            if subject.name in costs.GOALS and subject.name not in CODES.values():
                yield self._repeatable(subject.name, subject.status, [self.to_bytes(next(iter(subject.requests(1))))])
        for alg, name in CODES.items():
            yield Endpoint(name, self._exchanges(alg, name))
        yield self._repeatable("sign-in page", "200", [self.to_bytes(self.world.get("/sign-in"))])
        yield Endpoint("sign-in", self._sign_ins())

    @staticmethod
    def _repeatable(name: str, status: str, requests: Sequence[bytes]) -> Endpoint:
        """An endpoint whose requests can be sent any number of times."""
        kinds = [RequestKind(name, requests, int(status), EXPECTED_TEXTS.get(name, "access_token"))]
        return Endpoint(name, lambda _times: kinds)

    def to_bytes(self, environ: Environ) -> bytes:
        """The HTTP request, in bytes, of a WSGI environment."""
        headers = {
            name[5:]: value for name, value in environ.items() if name.startswith("HTTP_") and name != "HTTP_HOST"
        }
        if kind := environ.get("CONTENT_TYPE"):
            headers["Content_Type"] = kind
        target = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else "")
        body = environ["wsgi.input"].read()
        return servers.request(environ["REQUEST_METHOD"], target, self.port, body, **headers)

    def _exchanges(self, alg: str, name: str) -> Callable[[int], Sequence[RequestKind]]:
        """Token requests, each with a code of its own."""
        form = {"grant_type": "authorization_code", "redirect_uri": costs.CALLBACK, "code_verifier": costs.VERIFIER}

        def make(times: int) -> Sequence[RequestKind]:
            client, codes = self.world.clients[alg], self._codes(alg, times)
            requests = [self.to_bytes(self.world.post("/oauth/token", form | {"code": code}, client)) for code in codes]
            return [RequestKind(name, requests, 200, EXPECTED_TEXTS[name], single_use=True)]

        return make

    def _codes(self, alg: str, times: int) -> list[str]:
        """Copies of a real code with secrets, lineages and an expiry of their own."""
        real, copies = self.world.code(alg), [crypto.new_secret() for _ in range(times)]
        table = cast("Table", Code.__table__)
        with transaction(self.world.app):
            row = database.connection().execute(select(table).where(table.c.digest == crypto.digest(real))).one()
            like = {**row._mapping, "expires_at": clock.now() + timedelta(hours=1)}  # noqa: SLF001  its public name
            rows = [like | {"digest": crypto.digest(copy), "lineage": crypto.new_id("lin")} for copy in copies]
            database.connection().execute(insert(table), rows)
        return copies

    def _sign_ins(self) -> Callable[[int], Sequence[RequestKind]]:
        """Sign-in forms of people in a browser that is known to them; made when first needed."""
        kinds: list[RequestKind] = []

        def make(_times: int) -> Sequence[RequestKind]:
            if not kinds:
                with transaction(self.world.app):
                    names = [an_administrator().username for _ in range(PEOPLE)]
                kinds.append(
                    RequestKind("sign-in", [self._sign_in(name) for name in names], 303, EXPECTED_TEXTS["sign-in"])
                )
            return kinds

        return make

    def _sign_in(self, name: str) -> bytes:
        """The second sign-in form of a browser, which is known to the person since the first."""
        browser, issuer = FlaskClient(self.world.app), self.world.issuer
        for _ in range(2):
            page = browser.get("/sign-in?next=/register", base_url=issuer)
            token = BeautifulSoup(page.text, "html.parser").select_one("input[name=csrf_token]")
            if token is None:
                raise RuntimeError("the sign-in page has no form")
            typed = {"username": name, "password": PASSWORD, "csrf_token": str(token["value"]), "sign-in": "1"}
            cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in (browser._cookies or {}).values())  # noqa: SLF001
            if browser.post("/sign-in", data=typed, base_url=issuer).status_code != 303:
                raise RuntimeError("signing in beforehand did not work")
            browser.delete_cookie("idaas-session", domain="127.0.0.1")
        headers: dict[str, Any] = {"Cookie": cookies, "Content_Type": "application/x-www-form-urlencoded"}
        return servers.request("POST", "/sign-in", self.port, urlencode(typed).encode(), **headers)

    def _mixed(self, times: int) -> list[RequestKind]:
        """All kinds in the proportions of `MIX`, evenly spread."""
        kinds = {name: self.endpoints[name].make(times * share // 100 + 50)[0] for name, share in MIX.items()}
        turns = [((turn + 0.5) / share, name) for name, share in MIX.items() for turn in range(share)]
        return [kinds[name] for _, name in sorted(turns)]
