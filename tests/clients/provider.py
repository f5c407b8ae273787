"""A fake provider whose responses a test sets: correct ones, and every wrong one that a client has to detect.

It is not our provider, because a client also has to refuse responses that ours never sends.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from joserfc.registry import HeaderParameter
from werkzeug.serving import make_server

SUBJECT = "adm_of_willow_bank"
ESTAB, URN = "3124567", "900001"
NOW = "2026-03-02T09:30:00Z"


@dataclass
class Provider:
    """The provider's URL, its next responses, and the requests that it received."""

    issuer: str
    client_id: str = "assembly"
    verification: str = "unverified"
    connection: str = "connected"
    mis_accepted: bool = True
    closing: str = ""
    status: str = "active"
    scope: str = "openid profile email organisation offline_access"
    withheld: str = "school students attendance"
    claims: dict[str, Any] = field(default_factory=dict)
    """Changes of the claims of the next ID Tokens."""
    header: dict[str, Any] = field(default_factory=dict)
    """More members of the header of what it signs."""
    token_type: str | None = "DPoP"
    """That of all token responses; None leaves it out."""
    userinfo_overrides: dict[str, Any] = field(default_factory=dict)
    """Changes of the userinfo response."""
    userinfo_status: int = 200
    discovery: dict[str, Any] = field(default_factory=dict)
    token_errors: dict[str, str] = field(default_factory=dict)
    """The error of the token endpoint, by grant type."""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one", "use": "sig"}))
    signing_key: ECKey | None = None
    other_keys: list[dict[str, Any]] = field(default_factory=list)
    """Keys that it publishes as well."""
    parameters: dict[str, str] = field(default_factory=dict)
    """The parameters of the last pushed authorization request."""
    token_requests: list[dict[str, str]] = field(default_factory=list)
    """Token requests, with their proofs."""
    proofs: list[dict[str, Any]] = field(default_factory=list)
    """The claims of all DPoP proofs received."""
    nonce: str = ""
    """The nonce required in proofs, if set (RFC 9449 §8)."""
    invitations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The invitations that were made, by idempotency key."""
    invitation_state: str = "sent"
    lost_responses: set[str] = field(default_factory=set)
    """Endpoints whose next response is lost, after the request was carried out."""
    refuses_invitations: dict[str, Any] | None = None
    """The problem document of the responses to requests for invitations."""
    forwarded_to: dict[str, str] | None = None
    pages: list[Any] = field(default_factory=list)
    """The next responses of `GET /api/schools`, instead of the school alone; a number is a status."""
    page_requests: list[dict[str, str]] = field(default_factory=list)
    """The parameters of all requests for a page."""
    data: dict[str, Any] = field(default_factory=dict)
    """Responses of the API with the data, by the end of the path: `students`, `students?CURSOR`; a number is a
    status.
    """
    delay_seconds: float = 0.0
    """Seconds that the token endpoint waits before it responds."""

    def authorization_response(self, **other: str | None) -> str:
        """The query of the redirect to the client: a code for the last request; `other` replaces parameters, None drops
        them.
        """
        response: dict[str, str | None] = {"code": "a-code", "state": self.parameters["state"], "iss": self.issuer}
        return urlencode({name: value for name, value in (response | other).items() if value is not None})

    def signed(self, claims: dict[str, Any], *, typ: str = "JWT") -> str:
        """A JWT of this provider."""
        header = {"alg": "ES256", "kid": "one", "typ": typ, **self.header}
        known = {name: HeaderParameter("", "str") for name in self.header if name != "crit"}
        registry = jws.JWSRegistry(known, algorithms=["ES256"])
        return jwt.encode(header, claims, self.signing_key or self.key, registry=registry)

    def id_token(self, **other: object) -> str:
        """An ID Token for the last authorization request."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": SUBJECT, "aud": self.client_id, "iat": now, "exp": now + 600,
            "auth_time": now, "sid": "a-session", **other, **self.claims,
        }  # fmt: skip
        return self.signed(claims)

    def event(self, name: str, **other: Any) -> str:
        """A Security Event Token about the school."""
        content = {"estab_id": ESTAB, "status": self.status}
        claims = {
            "iss": self.issuer, "aud": self.client_id, "iat": int(time.time()), "jti": f"jti-{time.monotonic_ns()}",
            "sub_id": {"format": "opaque", "id": ESTAB}, "events": {f"{self.issuer}/events/{name}": content},
        } | other  # fmt: skip
        return self.signed({key: value for key, value in claims.items() if value is not None}, typ="secevent+jwt")

    def logout_token(self, **other: Any) -> str:
        """A logout token for the session of the ID Tokens."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 120, "sub": SUBJECT, "sid": "a-session",
            "jti": f"jti-{time.monotonic_ns()}", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        } | other  # fmt: skip
        return self.signed({key: value for key, value in claims.items() if value is not None}, typ="logout+jwt")

    def school(self) -> dict[str, Any]:
        """The school in the form of `/api/schools`."""
        return {
            "estab_id": ESTAB, "status": self.status, "verification": self.verification,
            "connection": self.connection, "mis_accepted": self.mis_accepted, "scope": self.scope,
            "withheld_scope": self.withheld, "agreement_version": "2026-01", "authorised_at": NOW,
            "until": "2027-03-02T09:30:00Z", "changed_at": NOW,
            **({"closing": self.closing} if self.closing else {}),
            **({"withdrawn_at": NOW} if self.status == "withdrawn" else {}),
            "register": {"name": "Willow Bank Primary School", "urn": URN},
        }  # fmt: skip


def _app(provider: Provider) -> Flask:  # noqa: C901, PLR0915  one function for each endpoint
    app = Flask("provider")

    def is_response_lost(endpoint: str) -> bool:
        if endpoint in provider.lost_responses:
            provider.lost_responses.discard(endpoint)
            return True
        return False

    @app.before_request
    def check_dpop_proof() -> ResponseReturnValue | None:
        proof = request.headers.get("DPoP")
        if proof is None:
            return None
        claims = jws.extract_compact(proof.encode()).payload
        provider.proofs.append(json.loads(claims))
        if provider.nonce and provider.proofs[-1].get("nonce") != provider.nonce:
            response = jsonify(error="use_dpop_nonce")
            response.headers["DPoP-Nonce"] = provider.nonce
            response.status_code = 400
            return response
        return None

    @app.get("/.well-known/openid-configuration")
    def discovery() -> ResponseReturnValue:
        issuer = provider.issuer
        return jsonify(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "pushed_authorization_request_endpoint": f"{issuer}/par",
                "token_endpoint": f"{issuer}/token",
                "revocation_endpoint": f"{issuer}/revoke",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "jwks_uri": f"{issuer}/jwks",
                "end_session_endpoint": f"{issuer}/logout",
            }
            | provider.discovery
        )

    @app.get("/jwks")
    def jwks() -> ResponseReturnValue:
        return jsonify(keys=[*provider.other_keys, provider.key.as_dict(private=False)])

    @app.post("/par")
    def par() -> ResponseReturnValue:
        provider.parameters = request.form.to_dict()
        return jsonify(request_uri="urn:ietf:params:oauth:request_uri:one", expires_in=90), 201

    @app.post("/token")
    def token() -> ResponseReturnValue:
        provider.token_requests.append(request.form.to_dict())
        grant = request.form["grant_type"]
        time.sleep(provider.delay_seconds)
        if grant in provider.token_errors:
            return jsonify(error=provider.token_errors[grant]), 400
        if is_response_lost("token"):
            return "", 502
        if grant == "client_credentials":
            return jsonify(access_token="our-own-token", token_type=provider.token_type, expires_in=300)
        first = grant == "authorization_code"
        response = {
            "access_token": "the-access-token",
            **({"token_type": provider.token_type} if provider.token_type else {}),
            "expires_in": 600,
            "scope": provider.scope,
            **({"withheld_scope": provider.withheld} if provider.withheld else {}),
            "id_token": provider.id_token(**({"nonce": provider.parameters["nonce"]} if first else {})),
        }
        return jsonify(response | ({"refresh_token": "the-refresh-token"} if first else {}))

    @app.post("/revoke")
    def revoke() -> ResponseReturnValue:
        provider.token_requests.append(request.form.to_dict())
        return "", 200

    @app.get("/userinfo")
    def userinfo() -> ResponseReturnValue:
        userinfo = {
            "sub": SUBJECT,
            "name": "Grace Okafor",
            "email": "office@willowbank.example",
            "estab_id": ESTAB,
            "organisation": {"name": "Willow Bank Primary School", "urn": URN},
        }
        return jsonify(userinfo | provider.userinfo_overrides), provider.userinfo_status

    @app.get("/api/schools")
    def schools() -> ResponseReturnValue:
        provider.page_requests.append(request.args.to_dict())
        page = provider.pages.pop(0) if provider.pages else {"schools": [provider.school()]}
        return jsonify(page) if isinstance(page, dict) else ({}, page)

    @app.get("/api/schools/<estab_id>")
    def school(estab_id: str) -> ResponseReturnValue:
        return jsonify(provider.school())

    @app.get("/api/register/schools")
    def register() -> ResponseReturnValue:
        entry = {
            "name": "Willow Bank Primary School", "urn": URN, "phase": "Primary", "status": "Open",
            "address": {"town": "Ashby", "postcode": "AB1 2CD"}, "can_register": True,
        }  # fmt: skip
        typed = request.args["q"].lower()
        return jsonify(schools=[entry] if typed in "willow bank primary school 900001 ab1 2cd" else [], more=False)

    @app.post("/api/invitations")
    def invite() -> ResponseReturnValue:
        if provider.refuses_invitations:
            return jsonify(provider.refuses_invitations), 422
        key = request.headers["Idempotency-Key"]
        made = provider.invitations.setdefault(key, {**request.get_json(), "id": f"inv_{len(provider.invitations)}"})
        return (
            ("", 502)
            if is_response_lost("invitations")
            else (jsonify(made | {"state": provider.invitation_state}), 201)
        )

    @app.get("/api/invitations/<invitation_id>")
    def invitation(invitation_id: str) -> ResponseReturnValue:
        if provider.invitation_state == "deleted":
            return jsonify(code="not_found"), 404
        response = {"id": invitation_id, "state": provider.invitation_state}
        return jsonify(response | ({"forwarded_to": provider.forwarded_to} if provider.forwarded_to else {}))

    @app.post("/api/invitations/<invitation_id>/resend")
    def resend(invitation_id: str) -> ResponseReturnValue:
        if provider.refuses_invitations:
            return jsonify(provider.refuses_invitations), 422
        return jsonify(id=invitation_id, state="sent")

    @app.get("/data/v1/<path:kind>")
    def data(kind: str) -> ResponseReturnValue:
        path = f"{kind}?{request.args['cursor']}" if "cursor" in request.args else kind
        document = provider.data.get(path, 404)
        if isinstance(document, int):
            return "", document
        return jsonify(document), document.get("status", 200)

    return app


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on a free port of this machine, until the block ends."""
    server = make_server("127.0.0.1", 0, Flask("unknown"), threaded=True)
    provider = Provider(f"http://localhost:{server.server_port}")
    server.app = _app(provider)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
