"""`/healthz`: this process answers. `/readyz`: it can also reach its records, so send it people."""

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from idp.foundation.database import session
from idp.foundation.web import security

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@security.anyone
def healthz() -> Response:
    """Alive."""
    return jsonify(status="ok")


@bp.get("/readyz")
@security.anyone
def readyz() -> ResponseReturnValue:
    """Alive, and the database answers; 503 otherwise."""
    try:
        session().execute(text("SELECT 1"))
    except SQLAlchemyError:
        session().rollback()
        return jsonify(status="unavailable", database="unreachable"), 503, {"Retry-After": "10"}
    return jsonify(status="ok", database="ok")
