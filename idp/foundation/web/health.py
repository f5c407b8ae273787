"""`/healthz`: the process responds. `/readyz`: it can also read and write the database, so it may receive traffic."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from idp.foundation import database
from idp.foundation.runtime import PerApplication
from idp.foundation.web import security
from idp.foundation.web.transactions import autocommit

SCHEMA_HEAD: Final = (Path(__file__).parents[2] / "migrations" / "head.txt").read_text("ascii").strip()
"""The schema that this release needs. Schemas are numbered, and a release also runs on a newer one."""
CACHE_SECONDS: Final = 1.0
"""How long a result is reused, so that frequent checks do not cause frequent writes."""
READ_VERSION: Final = text("SELECT version_num FROM alembic_version")
"""Reads the revision of the database's schema."""
TEST_WRITE: Final = {
    "sqlite": text("UPDATE alembic_version SET version_num = version_num"),
    # Does not wait for another writer of the row (a migration, another probe).
    "postgresql": text(
        "UPDATE alembic_version SET version_num = version_num WHERE ctid IN "
        "(SELECT ctid FROM alembic_version FOR UPDATE SKIP LOCKED)"
    ),
}
"""Changes no value, but has to be written to disk."""

bp = Blueprint("health", __name__)


@dataclass(slots=True)
class Probe:
    """The last result, and its monotonic time in seconds."""

    checked_at: float = float("-inf")
    problem: str | None = None


PROBE: Final = PerApplication(Probe)


@bp.get("/healthz")
@security.anyone
def healthz() -> Response:
    """Always 200, with the IP address from which the request seems to come: `idp doctor` forges one."""
    return jsonify(status="ok", address=request.remote_addr)


@bp.get("/readyz")
@security.anyone
@autocommit
def readyz() -> ResponseReturnValue:
    """200 if the database has the tables of this release and accepts writes; 503 otherwise."""
    now, probe = time.monotonic(), PROBE.get()
    if now - probe.checked_at >= CACHE_SECONDS:
        probe.problem, probe.checked_at = _problem(), now
    if probe.problem:
        return jsonify(status="unavailable", database=probe.problem), 503, {"Retry-After": "10"}
    return jsonify(status="ok", database="ok")


def _problem() -> str | None:
    """What is wrong with the database, or None."""
    problem = "unreachable"
    try:
        connection = database.connection()
        problem = "without its tables"
        version = connection.execute(READ_VERSION).scalar()
        if version is None or version < SCHEMA_HEAD:
            return "without its newest tables"
        problem = "not writable"
        connection.execute(TEST_WRITE[connection.dialect.name])
    except DBAPIError as error:
        return "unreachable" if error.connection_invalidated else problem
    except PoolTimeout:
        return problem
    finally:
        database.release_connection()
    return None
