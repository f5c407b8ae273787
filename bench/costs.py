"""What a request costs in process: elapsed and processor time, beside a bare Flask view in the same run.

Requests go straight into the WSGI application, so what is timed is Flask, Authlib, our code and the database,
and no network. Every response is checked. Subjects take turns within each round, the bare view among them.
"""

import base64
import hashlib
import io
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.test import EnvironBuilder

from bench import limits
from bench.report import Figure
from idp.app import create_app
from idp.foundation import database, runtime
from idp.foundation.load_settings import load
from idp.foundation.web.transactions import transaction
from idp.keys import ring
from idp.sharing import authorise
from tests.factories import PASSWORD, a_client, an_administrator, secret_of

SCOPE: Final = "openid profile email organisation offline_access school students"
CALLBACK: Final = "https://assembly.example/callback"
VERIFIER: Final = "v" * 43
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
GOALS: Final = {  # processor ×: SQLite file, PostgreSQL (performance.md §4)
    "token: code, all ES256": (14, 20),
    "token: code, ID token RS256": (18, 24),
    "token: refresh": (7, 9),
    "token: client_credentials": (5, 5),
    "introspect": (6, 7),
    "userinfo": (6, 7),
    "par": (8, 10),
    "authorize, nothing to ask": (14, 22),
    "jwks": (1.5, 1.5),
    "discovery": (1.5, 1.5),
}
MAX_DPOP_COST: Final = 2.5
"""How much a DPoP proof may add to a request, in times the bare view, without the INSERT of its `jti`."""
MIN_SHARES: Final = {
    "token: code, all ES256": 45, "token: code, ID token RS256": 50, "token: refresh": 50,
    "token: client_credentials": 40, "introspect": 55, "userinfo": 55, "par": 55, "authorize, nothing to ask": 40,
}  # fmt: skip
"""The least share of the time, in per cent, that `limits` says is necessary, on PostgreSQL (performance.md §4)."""
DPOP_SUBJECT: Final = "token: client_credentials, DPoP"

Environ = dict[str, Any]


def first_decile(durations: list[float]) -> float:
    """The first decile: what a request costs while nothing else uses the machine; the minimum varies too much."""
    return statistics.quantiles(durations, n=10)[0]


@dataclass
class Subject:
    """A kind of request to be timed: what makes the requests of a round beforehand, and the expected status."""

    name: str
    app: Flask
    requests: Callable[[int], Iterable[Environ]]
    status: str
    elapsed: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def round(self, calls: int, *, record: bool) -> None:
        """Send `calls` requests to the application; with `record`, the microseconds of each are recorded."""
        for environ in list(self.requests(calls)):
            began, spent = time.perf_counter_ns(), time.process_time_ns()
            call(self.app, environ, self.status)
            processor, elapsed = time.process_time_ns() - spent, time.perf_counter_ns() - began
            if record:
                self.elapsed.append(elapsed / 1e3)
                self.processor.append(processor / 1e3)


def call(app: Flask, environ: Environ, status: str) -> tuple[list[tuple[str, str]], bytes]:
    """Call the application; returns headers and body. Raises `RuntimeError` if the status is another."""
    started: dict[str, Any] = {}

    def start_response(line: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        started.update(line=line, headers=headers)
        return lambda _data: None

    response = app.wsgi_app(environ, start_response)
    body = b"".join(response)
    if hasattr(response, "close"):
        response.close()
    if not started["line"].startswith(status):
        raise RuntimeError(f"{environ['PATH_INFO']} returned {started['line']}: {body[:300]!r}")
    return started["headers"], body


class World:
    """A provider with a school, two clients and a signed-in administrator who has authorised both."""

    def __init__(self, url: str, issuer: str = "http://localhost:5000") -> None:
        overrides: dict[str, dict[str, Any]] = {
            "database": {"url": url}, "server": {"issuer": issuer}, "throttle": {"factor": 1_000_000},
            "tokens": {"access": 3600},  # longer than a run
        }  # fmt: skip
        self.app = create_app(load(environment="development", **overrides))  # passwords are hashed as in production
        with self.app.app_context():
            database.db.create_all()
        with transaction(self.app):
            ring.ensure()
            person = an_administrator()
            self.username = person.username
            self.clients = {}
            for alg in ("ES256", "RS256"):
                client = a_client(id_token_signed_response_alg=alg)
                scopes = frozenset(SCOPE.split())
                authorise.give(
                    client,
                    scopes,
                    by=person.memberships[0],
                    agreement_version=client.agreement_version,
                    until=authorise.default_end(client),
                )
                self.clients[alg] = client.id
            service = a_client(client_scopes=frozenset({"schools.list"}), grant_types=frozenset({"client_credentials"}))
            self.clients["client_credentials"] = service.id
            self.dpop_key = ECKey.generate_key("P-256")
        self.issuer = runtime.for_app(self.app).settings.server.issuer
        self.cookie = self._sign_in()

    def _sign_in(self) -> str:
        browser = FlaskClient(self.app)
        page = browser.get("/sign-in", base_url=self.issuer)
        token = BeautifulSoup(page.text, "html.parser").select_one("input[name=csrf_token]")
        if token is None:
            raise RuntimeError("the sign-in page has no form")
        typed = {"username": self.username, "password": PASSWORD, "csrf_token": str(token["value"]), "sign-in": "1"}
        response = browser.post("/sign-in", data=typed, base_url=self.issuer)
        if response.status_code != 303:
            raise RuntimeError(f"signing in returned {response.status_code}")
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in (browser._cookies or {}).values())  # noqa: SLF001

    def get(self, path: str, **headers: str) -> Environ:
        """A request, ready to be called once."""
        return EnvironBuilder(path=path, base_url=self.issuer, headers=list(headers.items())).get_environ()

    def post(self, path: str, form: dict[str, str], client: str) -> Environ:
        """A request with a form, as a client sends it without a browser."""
        basic = base64.b64encode(f"{client}:{secret_of(client)}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        environ = EnvironBuilder(
            path=path, base_url=self.issuer, method="POST", headers=list(headers.items()), data=form
        ).get_environ()
        body = environ["wsgi.input"].read()
        return environ | {"wsgi.input": io.BytesIO(body)}

    def authorize(self, alg: str = "ES256") -> Environ:
        """A partner's authorization request of a person who is signed in and need not be asked anything."""
        return self.get(f"/oauth/authorize?{urlencode(self._authorization_parameters(alg))}", Cookie=self.cookie)

    def _authorization_parameters(self, alg: str) -> dict[str, str]:
        return {
            "response_type": "code", "client_id": self.clients[alg], "redirect_uri": CALLBACK, "scope": SCOPE,
            "state": "s" * 20, "nonce": "n" * 20, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        }  # fmt: skip

    def code(self, alg: str) -> str:
        """A new authorization code."""
        headers, _ = call(self.app, self.authorize(alg), "303")
        return parse_qs(urlsplit(dict(headers)["Location"]).query)["code"][0]

    def exchange(self, alg: str) -> Environ:
        """A token request with a fresh code."""
        form = {
            "grant_type": "authorization_code", "code": self.code(alg), "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }  # fmt: skip
        return self.post("/oauth/token", form, self.clients[alg])

    def tokens(self, alg: str) -> dict[str, str]:
        """The tokens that a client has after signing someone in."""
        _, body = call(self.app, self.exchange(alg), "200")
        response: dict[str, str] = json.loads(body)
        return response

    def pushed(self) -> Environ:
        """A pushed authorization request."""
        return self.post("/oauth/par", self._authorization_parameters("ES256"), self.clients["ES256"])

    def client_credentials(self, *, dpop: bool = False) -> Environ:
        """A client's request for a token of its own, with a new DPoP proof if `dpop`."""
        environ = self.post("/oauth/token", {"grant_type": "client_credentials"}, self.clients["client_credentials"])
        return environ | {"HTTP_DPOP": self._proof()} if dpop else environ

    def _proof(self) -> str:
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.dpop_key.as_dict(private=False)}
        claims = {
            "htm": "POST", "htu": f"{self.issuer}/oauth/token", "iat": int(time.time()), "jti": secrets.token_hex(8),
        }  # fmt: skip
        return jwt.encode(header, claims, self.dpop_key, algorithms=["ES256"])

    def subjects(self) -> list[Subject]:
        """All kinds of request that are timed."""
        tokens = self.tokens("ES256")
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        token = {"token": tokens["access_token"]}
        bearer = f"Bearer {tokens['access_token']}"

        def repeated(make: Callable[[], Environ]) -> Callable[[int], Iterable[Environ]]:
            return lambda calls: [make() for _ in range(calls)]

        requests: dict[str, tuple[Callable[[], Environ], str]] = {
            "jwks": (lambda: self.get("/oauth/jwks"), "200"),
            "discovery": (lambda: self.get("/.well-known/openid-configuration"), "200"),
            "authorize, nothing to ask": (self.authorize, "303"),
            "par": (self.pushed, "201"),
            "token: code, all ES256": (lambda: self.exchange("ES256"), "200"),
            "token: code, ID token RS256": (lambda: self.exchange("RS256"), "200"),
            "token: refresh": (lambda: self.post("/oauth/token", refresh, self.clients["ES256"]), "200"),
            "token: client_credentials": (self.client_credentials, "200"),
            DPOP_SUBJECT: (lambda: self.client_credentials(dpop=True), "200"),
            "introspect": (lambda: self.post("/oauth/introspect", token, self.clients["ES256"]), "200"),
            "userinfo": (lambda: self.get("/oauth/userinfo", Authorization=bearer), "200"),
        }
        return [Subject(name, self.app, repeated(make), status) for name, (make, status) in requests.items()]


def bare() -> Subject:
    """A Flask view that does nothing: the costs of all others are compared with its own."""
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: "ok")
    return Subject(
        "bare view", app, lambda calls: [EnvironBuilder(path="/").get_environ() for _ in range(calls)], "200"
    )


def measure(url: str, dbms: str, *, rounds: int, calls: int) -> list[Figure]:
    """Time every subject on one database; `dbms` is its name in the table."""
    world = World(url)
    bare_view = bare()
    subjects = [bare_view, *world.subjects()]
    for number in range(rounds + 1):  # the first is a warm-up
        for subject in subjects:
            subject.round(calls, record=number > 0)
    with world.app.app_context():
        times = limits.operation_times(database.db.engine, database.db.engine.execution_options(autocommit=True))
        database.db.engine.dispose()
    figures = [figure for subject in subjects for figure in _figures(subject, bare_view, dbms, times)]
    with_proof, without_proof = (
        next(subject for subject in subjects if subject.name == name)
        for name in (DPOP_SUBJECT, DPOP_SUBJECT.split(",")[0])
    )
    adds = (first_decile(with_proof.elapsed) - first_decile(without_proof.elapsed) - times["alone"]) / first_decile(
        bare_view.elapsed
    )
    return [*figures, Figure(f"a DPoP proof adds, besides its insert, {dbms}", "elapsed", adds, "×", MAX_DPOP_COST)]


def _figures(subject: Subject, bare_view: Subject, dbms: str, times: dict[str, float]) -> Iterable[Figure]:
    """The figures of one subject; the share has a goal on PostgreSQL only."""
    name, goals = f"{subject.name}, {dbms}", GOALS.get(subject.name)
    goal = goals and float(goals[0 if dbms == "SQLite" else 1])
    yield Figure(
        name, "processor", first_decile(subject.processor) / first_decile(bare_view.processor), "×", goal or None
    )
    yield Figure(name, "processor, least", first_decile(subject.processor), "µs")
    yield Figure(name, "elapsed, least", first_decile(subject.elapsed), "µs")
    yield Figure(name, "elapsed, median", statistics.median(subject.elapsed), "µs")
    if (needs := limits.NEEDS.get(subject.name)) is not None:
        limit = limits.lower_limit(needs, times, first_decile(bare_view.elapsed))
        least_share = MIN_SHARES[subject.name] if dbms == "PostgreSQL" else None
        yield Figure(name, "raw limit", limit, "µs")
        yield Figure(name, "share", limit / first_decile(subject.elapsed) * 100, "%", least_share, at_least=True)
