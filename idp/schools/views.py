"""The search as JSON, for the list that appears while somebody types. The page around it is onboarding's."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from idp.foundation.web import security
from idp.foundation.web.throttle import at_most, limiter
from idp.schools import search
from idp.schools.search import Found

bp = Blueprint("schools", __name__)

SUGGESTED = 8
"""Schools in the list; whoever does not see theirs types on, or searches."""
FRESH = 300
"""Seconds an answer may be kept by anybody: it is public, and changes once a day."""


@bp.get("/schools/search.json")
@security.anyone
@limiter.limit(at_most(1200, "minute"))  # a whole local authority may share one address
def search_json() -> ResponseReturnValue:
    """Schools for what has been typed so far."""
    answer = search.find(request.args.get("q", ""), show=SUGGESTED)
    response: Response = jsonify(results=[_told(found) for found in answer.results], more=answer.more)
    response.headers["Cache-Control"] = f"public, max-age={FRESH}"
    return response


def _told(found: Found) -> dict[str, Any]:
    school = found.school
    return {
        "id": school.id,
        "name": school.name,
        "place": ", ".join(part for part in (school.street, school.town, school.postcode) if part),
        "urn": school.urn,
        "dfe_number": school.dfe_number_shown,
        "phase": found.phase,
        "status": found.status,
        "can_register": found.why_not is None,
    }
