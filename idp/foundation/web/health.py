"""`/healthz`: this process answers. `/readyz`: it can also read and write its records, so send it people."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from idp.foundation import database
from idp.foundation.runtime import PerApplication
from idp.foundation.web import security
from idp.foundation.web.transactions import autocommit

HEAD: Final = (Path(__file__).parents[2] / "migrations" / "head.txt").read_text("ascii").strip()
"""The schema this release was made for. They are numbered, and an older release runs on a newer one."""
HOLDS: Final = 1.0
"""Seconds that an answer holds, so that frequent checks do not mean frequent writes."""
READ: Final = text("SELECT version_num FROM alembic_version")
WRITE: Final = {
    "sqlite": text("UPDATE alembic_version SET version_num = version_num"),
    # Another writer of the row (a migration, another probe) is not waited for.
    "postgresql": text(
        "UPDATE alembic_version SET version_num = version_num WHERE ctid IN "
        "(SELECT ctid FROM alembic_version FOR UPDATE SKIP LOCKED)"
    ),
}
"""Changes nothing, and has to reach the disk."""

bp = Blueprint("health", __name__)


@dataclass(slots=True)
class Probe:
    """What the database answered, and when (monotonic seconds)."""

    at: float = float("-inf")
    fault: str | None = None


PROBE: Final = PerApplication(Probe)


@bp.get("/healthz")
@security.anyone
def healthz() -> Response:
    """Alive."""
    return jsonify(status="ok")


@bp.get("/readyz")
@security.anyone
@autocommit
def readyz() -> ResponseReturnValue:
    """Alive, and the database has our tables and takes what is written; 503 otherwise."""
    now, probe = time.monotonic(), PROBE.get()
    if now - probe.at >= HOLDS:
        probe.fault, probe.at = _fault(), now
    if probe.fault:
        return jsonify(status="unavailable", database=probe.fault), 503, {"Retry-After": "10"}
    return jsonify(status="ok", database="ok")


def _fault() -> str | None:
    """What is wrong with the database; None where nothing is."""
    fault = "unreachable"
    try:
        connection = database.connection()
        fault = "without its tables"
        version = connection.execute(READ).scalar()
        if version is None or version < HEAD:
            return "without its newest tables"
        fault = "not writable"
        connection.execute(WRITE[connection.dialect.name])
    except DBAPIError as error:
        return "unreachable" if error.connection_invalidated else fault
    except PoolTimeout:
        return fault
    finally:
        database.release_connection()
    return None
