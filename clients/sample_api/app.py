"""The addresses of the sample API."""

import time
from collections.abc import Callable

import requests
from flask import Flask, Response, jsonify, request

from clients.sample_api.proofs import ALGS
from clients.sample_api.settings import Settings
from clients.sample_api.tokens import Refused, Tokens

SCOPES = ("school", "schools.list")
"""What we serve; registered with the provider as `resource_scopes`."""
METADATA = "/.well-known/oauth-protected-resource"


def create_app(
    settings: Settings, *, http: requests.Session | None = None, now: Callable[[], float] = time.time
) -> Flask:
    """Build it. The provider need not be up yet; `http` says whom to trust on the way to it."""
    app = Flask(__name__)
    tokens = Tokens(settings, http or requests.Session(), now)

    @app.get("/access")
    def access() -> Response:
        """What the caller's token opens here: the school, and the areas of it."""
        token = tokens.of(request)
        if not token.scopes:
            raise Refused(403, "insufficient_scope", token.scheme, scope=" ".join(SCOPES))
        school = {"estab_id": token.estab_id, "estab_status": token.estab_status} if token.estab_id else None
        answer = jsonify(client_id=token.client_id, school=school, areas=sorted(token.scopes))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get(METADATA)
    def metadata() -> Response:
        """How to be let in (RFC 9728 §2)."""
        return jsonify(
            resource=settings.resource, authorization_servers=[settings.issuer], scopes_supported=SCOPES,
            bearer_methods_supported=["header"], dpop_signing_alg_values_supported=ALGS,
            resource_name="IDaaS sample API",
        )  # fmt: skip

    @app.errorhandler(Refused)
    def refused(why: Refused) -> Response:
        answer = jsonify({"error": why.error} if why.error else {})
        answer.status_code = why.status
        answer.headers["Cache-Control"] = "no-store"
        if why.status in {401, 403}:
            answer.headers["WWW-Authenticate"] = why.challenge(settings.resource + METADATA)
        return answer

    return app
