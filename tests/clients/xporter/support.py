"""XporterOnDemand with a fake provider whose responses a test sets."""

import gzip
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from joserfc.jwk import ECKey

from clients.xporter import storage
from tests.oidc.signing import ath, sign_jws, without_kid

ISSUER, RESOURCE = "https://idp.example", "https://api.example"
ESTAB = "2135000"
KEY = ECKey.generate_key("P-256")
"""The key that tokens are bound to."""
SIGNER = ECKey.generate_key("P-256", {"kid": "one"})


@dataclass
class Provider:
    """A fake `requests.Session`: metadata, keys, introspection and tokens of a provider; it records the requests."""

    introspection: dict[str, Any] | None = field(default_factory=dict)
    """Members that replace those of every introspection response; None: the provider cannot be reached."""
    keys: list[ECKey] = field(default_factory=lambda: [SIGNER])
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    """Other documents, by path."""
    token_type: str = "Bearer"
    """The type of the tokens for XporterOnDemand itself."""

    def request(self, method, url, **options):
        path = url.removeprefix(ISSUER)
        self.requests.append((path, options.get("data") or options.get("json") or {}))
        if self.introspection is None:
            raise requests.ConnectionError
        if path == "/.well-known/oauth-authorization-server":
            return _response({
                "issuer": ISSUER, "introspection_endpoint": f"{ISSUER}/introspect", "jwks_uri": f"{ISSUER}/jwks",
                "token_endpoint": f"{ISSUER}/token",
            })  # fmt: skip
        if path == "/jwks":
            return _response({"keys": [key.as_dict(private=False) | {"use": "sig"} for key in self.keys]})
        if path == "/introspect":
            defaults = {"active": True, "scope": "endpoint", "estab_id": ESTAB, "estab_status": "verified"}
            return _response(defaults | self.introspection)
        if path == "/token":
            return _response({"access_token": "our-own", "token_type": self.token_type, "expires_in": 300})
        return _response(self.documents.get(path), 404 if path not in self.documents else 200)

    def count_requests(self, path):
        """How many requests there were for this path."""
        return sum(requested == path for requested, _ in self.requests)


def _response(body, status=200):
    response = requests.Response()
    response.status_code, response._content = status, json.dumps(body).encode()
    return response


def token(signer=SIGNER, typ="at+jwt", alg="ES256", header=None, **overrides):
    """An access token of the provider's, bound to `KEY`; `header` has more members of its header."""
    claims = {
        "iss": ISSUER, "aud": [ISSUER, RESOURCE], "sub": "adm_1", "client_id": "xporter-endpoint", "jti": "1",
        "iat": int(time.time()), "exp": int(time.time()) + 300, "cnf": {"jkt": KEY.thumbprint()},
    }  # fmt: skip
    return sign_jws(claims | overrides, signer, alg, typ=typ, **(header or {}))


def proof(access_token, method="GET", path="/access", key=KEY, alg="ES256", **overrides):
    claims = {
        "jti": str(time.monotonic_ns()), "htm": method, "htu": RESOURCE + path, "iat": int(time.time()),
        "ath": ath(access_token),
    }  # fmt: skip
    return sign_jws(claims | overrides, key, alg, typ="dpop+jwt", jwk=without_kid(key), kid=None)


def call(api, method="GET", path="/access", *, access_token=None, headers=None, **options):
    """Send a request with a valid token and proof."""
    access_token = access_token or token()
    sent = {"Authorization": f"DPoP {access_token}", "DPoP": proof(access_token, method, path.partition("?")[0])}
    return api.open(path, method=method, headers=sent | (headers or {}), **options)


MEMBERS = {
    "year_groups": {"name", "national_curriculum_year"},
    "students": {
        "legal_given_name", "legal_family_name", "upn", "birth_date", "year_group", "free_school_meals", "allergies",
    },
    "contacts": {"name", "students", "telephone"},
    "staff": {"name", "role"},
    "classes": {"name", "students", "teachers"},
    "lessons": {"period", "class", "room", "staff"},
    "periods": {"name", "weekday"},
    "attendance": {"student", "date", "session", "mark", "minutes_late"},
    "future": {"anything"},
}  # fmt: skip
"""Some of the members that the provider publishes, by collection."""


def line(collection, key, **data):
    """A record, as a line of an extract."""
    return {"collection": collection, "key": key, "data": data}


def student(key, forename="Ada", surname="Moss", **options):
    return line("students", key, legal_given_name=forename, legal_family_name=surname, **options)


def build_extract(*lines, complete=(), mis="sims", header=None):
    """The file of an extract: gzip of a header and these lines."""
    first = {"format": 1, "mis": mis, "made_at": "2026-11-29T06:00:00Z", "complete": list(complete)} | (header or {})
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in (first, *lines))
    return gzip.compress(text.encode("utf-8", "surrogateescape"), mtime=0)


def build_announcement(content, **overrides):
    """The document that announces an extract with this content."""
    made_at = datetime.now(UTC).isoformat()
    defaults = {
        "id": str(uuid.uuid4()), "mis": "sims", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        "made_at": made_at,
    }  # fmt: skip
    return defaults | overrides


class Endpoint:
    """A fake of the program at a school that sends extracts."""

    def __init__(self, app):
        self.app, self.api = app, app.test_client()

    def announce(self, document):
        return call(self.api, "POST", "/v1/extracts", json=document)

    def send_piece(self, extract_id, offset, piece, **headers):
        sent = {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"} | headers
        return call(self.api, "PATCH", f"/v1/extracts/{extract_id}", headers=sent, data=piece)

    def status_of(self, extract_id):
        return call(self.api, path=f"/v1/extracts/{extract_id}").json

    def upload(self, content, **overrides):
        """Announce and send the whole extract, which then waits to be checked; returns its id."""
        document = build_announcement(content, **overrides)
        assert self.announce(document).status_code == 201
        assert self.send_piece(document["id"], 0, content).status_code == 202
        return document["id"]

    def run_worker(self):
        return self.app.extensions["xporter"].worker.apply_waiting()

    def deliver(self, *lines, **options):
        """Upload an extract of these lines and have it checked; returns its status."""
        overrides = {name: options.pop(name) for name in ("made_at",) if name in options}
        extract_id = self.upload(build_extract(*lines, **options), mis=options.get("mis", "sims"), **overrides)
        assert self.run_worker() == 1
        return self.status_of(extract_id)

    def stored(self, collection):
        """All records that are stored, by their id."""
        database = self.app.extensions["xporter"].database
        with database.snapshot() as connection:
            school = storage.school(connection, ESTAB)
            if school is None:
                return {}
            pages = list(storage.pages(connection, school.id, collection))
        return {
            record_id: data for rows in pages for record_id, data in zip(rows.ids, json.loads(rows.data), strict=True)
        }

    def ids(self, collection, member="legal_given_name"):
        """The ids of the stored records, by the value of a member."""
        return {data[member]: record_id for record_id, data in self.stored(collection).items()}

    def version(self):
        with self.app.extensions["xporter"].database.snapshot() as connection:
            return storage.school(connection, ESTAB).version

    def changes(self, collection, since):
        with self.app.extensions["xporter"].database.snapshot() as connection:
            *_, rows = storage.page_of_school(connection, ESTAB, collection, since=since, limit=99)
        data = json.loads(rows.data)
        return [storage.Record(*values) for values in zip(rows.ids, rows.versions, data, strict=True)]
