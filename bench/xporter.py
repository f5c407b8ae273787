"""XporterOnDemand: what an answer to a partner costs, beside a bare Flask view in the same run, and 50 readers at once.

The token is checked in full, except that the answer of introspection comes from the cache, as it does for a second in
production. Pupils are like those of the fictional school; every scope about them is granted.
"""

import hashlib
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import requests
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import insert
from werkzeug.test import EnvironBuilder

from bench.bare import application as bare_view
from bench.costs import Environ, Subject, first_decile
from bench.report import Figure
from clients.xporter import tables
from clients.xporter.app import create_app
from clients.xporter.settings import Settings
from clients.xporter.shapes import Reader
from idp.foundation import scopes

ISSUER: Final = "https://idp.example"
RESOURCE: Final = "https://api.example"
ESTAB: Final = "2135000"
PUPILS: Final = 2000
PARTNERS: Final = 50
GOALS: Final = {"a page of 100 pupils": 6.0}
"""Times a bare Flask view (issue 10)."""
READERS_SECONDS: Final = 5.0


class _Provider:
    """In the place of `requests.Session`: a provider that knows one kind of token."""

    def __init__(self, key: ECKey) -> None:
        members = {
            "/.well-known/oauth-authorization-server": {
                "issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", "introspection_endpoint": f"{ISSUER}/introspect",
                "token_endpoint": f"{ISSUER}/token",
            },
            "/jwks": {"keys": [key.as_dict(private=False)]},
            "/introspect": {
                "active": True, "estab_id": ESTAB, "estab_status": "verified",
                "scope": "school students students.demographics students.sen classes",
            },
            "/token": {"access_token": "ours", "expires_in": 3600},
            "/api/scopes": _catalogue(),
            "/api/reads": {},
        }  # fmt: skip
        self._answers = {path: json.dumps(document).encode() for path, document in members.items()}

    def request(self, _method: str, url: str, **_more: Any) -> requests.Response:
        """The stored answer for the path."""
        response = requests.Response()
        response.status_code, response._content = 200, self._answers[url.removeprefix(ISSUER)]  # noqa: SLF001
        return response


def measure(url: str, dbms: str, *, rounds: int, calls: int) -> list[Figure]:
    """Measure on the empty database at `url`; `dbms` names it in the figures."""
    key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
    with _served(url.replace("postgresql+psycopg", "postgresql"), key) as app:
        sent = {
            "a page of 100 pupils": "/v1/students", "one pupil": "/v1/students/pupil-0007",
            "the school": "/v1/schools/me", "the same page again (304)": "/v1/students",
        }  # fmt: skip
        bearer = f"Bearer {_token(key, 'assembly')}"
        environs = {name: _environ(path, Authorization=bearer) for name, path in sent.items()}
        environs["the same page again (304)"]["HTTP_IF_NONE_MATCH"] = _etag(app, environs["a page of 100 pupils"])
        bare = Subject("bare", bare_view, partial(_copies, _environ("/")), "200")
        subjects = [
            Subject(name, app, partial(_copies, environ), "304" if "304" in name else "200")
            for name, environ in environs.items()
        ]
        for number in range(rounds + 1):
            for subject in (bare, *subjects):
                subject.round(calls, record=number > 0)
        unit = first_decile(bare.processor)
        figures = [
            Figure(
                f"{subject.name}, {dbms}",
                "processor",
                first_decile(subject.processor) / unit,
                "×",
                GOALS.get(subject.name),
            )
            for subject in subjects
        ]
        return [*figures, *_many_readers(app, key, dbms)]


def _many_readers(app: Flask, key: ECKey, dbms: str) -> Iterator[Figure]:
    """All partners read all pupils, page by page and all at once, in one process."""
    latencies: list[float] = []
    errors: list[int] = []
    until = time.monotonic() + READERS_SECONDS

    def read(number: int) -> None:
        client, headers = app.test_client(), {"Authorization": f"Bearer {_token(key, f'partner-{number}')}"}
        while time.monotonic() < until:
            address = "/v1/students?limit=100"
            while address and time.monotonic() < until:
                began = time.monotonic()
                response = client.get(address, headers=headers)
                latencies.append(time.monotonic() - began)
                if response.status_code != 200:
                    errors.append(response.status_code)
                    return
                address = (response.get_json()["next"] or "").removeprefix(RESOURCE)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(PARTNERS)]
    spent = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.process_time() - spent
    subject = f"{PARTNERS} partners at once, {dbms}"
    yield Figure(subject, "pages per vCPU", len(latencies) / spent, "/s", note="their own client included")
    yield Figure(subject, "p50", statistics.median(latencies) * 1000, "ms")
    yield Figure(subject, "p95", statistics.quantiles(latencies, n=20)[-1] * 1000, "ms")
    yield Figure(subject, "refused or failed", len(errors), "", 0)


@contextmanager
def _served(url: str, key: ECKey) -> Iterator[Flask]:
    """The application, with a school of `PUPILS`."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(ISSUER, "xporter", RESOURCE, 5003, Path(folder), url, cache_seconds=3600)
        app = create_app(settings, http=_Provider(key))  # type: ignore[arg-type]  # stands for a session
        parts = app.extensions["xporter"]
        rng = random.Random(2026)
        with parts.database.write() as connection:
            school = {
                "id": 1, "estab_id": ESTAB, "epoch": "an epoch", "version": PUPILS, "forgotten_version": 0,
                "last_extract_at": time.time(), "created_at": time.time(),
            }  # fmt: skip
            connection.execute(insert(tables.schools).values(school))
            as_stored = _as_stored(parts.fields.members()["students"])
            connection.execute(insert(tables.records), [_pupil(number, rng, as_stored) for number in range(PUPILS)])
            total = {
                "school_id": 1, "collection": "students", "total": PUPILS, "version": PUPILS, "changed_at": time.time(),
            }  # fmt: skip
            connection.execute(insert(tables.collections).values(total))
        with closing(parts):
            yield app


def _as_stored(members: frozenset[str]) -> Callable[[dict[str, Any]], bytes]:
    """What encodes a pupil's members as they are stored when an extract is applied."""
    decode, encode = Reader("students", members).decode, msgspec.json.Encoder().encode
    return lambda data: encode(decode(msgspec.Raw(encode(data))))


def _pupil(number: int, rng: random.Random, as_stored: Callable[[dict[str, Any]], bytes]) -> dict[str, Any]:
    data = {
        "legal_given_name": rng.choice(("Ada", "Zoë", "Mohammed", "Oluwaseun")), "legal_family_name": "Okafor-Brown",
        "preferred_given_name": "Ada", "birth_date": f"20{rng.randrange(10, 20)}-03-14", "upn": f"A{number:012}",
        "year_group": "5f0c2a9e7b1d4c38", "registration_group": "8b1d4c385f0c2a9e", "house": "4c385f0c2a9e8b1d",
        "entry_date": "2023-09-04", "ethnicity": "WBRI", "first_language": "ENG", "free_school_meals": False,
        "pupil_premium": True, "looked_after": False, "sen_status": "N", "allergies": ["Nuts"],
    }  # fmt: skip
    text = as_stored(data)
    return {
        "school_id": 1, "collection": "students", "id": f"pupil-{number:04}", "key": str(number),
        "data": text.decode(), "digest": hashlib.sha256(text).digest(), "version": number + 1,
    }  # fmt: skip


def _catalogue() -> dict[str, Any]:
    """The catalogue as the provider publishes it."""
    return {
        "scopes": [
            {
                "scope": scope.name, "kind": scope.kind,
                "fields": [{"title": title, "members": members} for title, members in scope.fields.items()],
            }
            for scope in scopes.catalogue().values()
        ]
    }  # fmt: skip


def _token(key: ECKey, client_id: str) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": RESOURCE, "sub": "adm_1", "client_id": client_id, "jti": client_id, "iat": now,
        "exp": now + 3600,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": "one", "typ": "at+jwt"}, claims, key, algorithms=["ES256"])


def _environ(path: str, **headers: str) -> Environ:
    return EnvironBuilder(path=path, headers=list(headers.items())).get_environ()


def _copies(environ: Environ, number: int) -> list[Environ]:
    return [dict(environ) for _ in range(number)]


def _etag(app: Flask, environ: Environ) -> str:
    return str(app.test_client().open(environ_overrides=dict(environ)).headers["ETag"])
