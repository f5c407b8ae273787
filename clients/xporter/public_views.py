"""Addresses for everyone: about this API, metadata, our public key, health; and `/access`, for any token."""

from flask import Blueprint, Response, jsonify, render_template

from clients.xporter import web
from clients.xporter.problems import KINDS, Problem
from clients.xporter.proofs import ALGS

SCOPES = (
    "school", "students", "students.demographics", "students.sen", "students.medical", "contacts", "staff", "classes",
    "timetable", "attendance", "assessment", "endpoint",
)  # fmt: skip
"""The data scopes that we serve and the scope of endpoints, as registered in `resource_scopes`."""

bp = Blueprint("public", __name__)


@bp.get("/")
def home() -> str:
    """A description of this API, for people who open the URL in a browser."""
    issuer = web.current_program().settings.issuer
    return render_template("home.html", issuer=issuer, metadata=web.METADATA, problems=KINDS)


@bp.get(web.METADATA)
def metadata() -> Response:
    """Our metadata as a protected resource (RFC 9728 §2)."""
    settings = web.current_program().settings
    response = jsonify(
        resource=settings.resource, authorization_servers=[settings.issuer], scopes_supported=SCOPES,
        bearer_methods_supported=["header"], dpop_signing_alg_values_supported=ALGS, resource_name="XporterOnDemand",
    )  # fmt: skip
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@bp.get("/jwks.json")
def jwks() -> Response:
    """The public keys of our client assertions."""
    response = jsonify(web.current_program().keys.public())
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@bp.get("/healthz")
def healthz() -> Response:
    """Whether the database can be read."""
    with web.current_program().database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    return jsonify(status="ok")


@bp.get("/access")
def access() -> Response:
    """What the caller's token gives access to: the school, and its data areas."""
    token = web.access()
    if not token.scopes:
        raise Problem("insufficient_scope", scheme=token.scheme, scope=" ".join(SCOPES))
    school = {"estab_id": token.estab_id, "estab_status": token.estab_status} if token.estab_id else None
    return jsonify(client_id=token.client_id, school=school, areas=sorted(token.scopes))
