"""The search as JSON, for suggestions while a person types. The page belongs to `onboarding`."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from idp.foundation.web import security
from idp.foundation.web.throttle import at_most, limiter
from idp.schools import search
from idp.schools.search import FoundSchool

bp = Blueprint("schools", __name__)

MAX_SUGGESTIONS = 8
"""Schools in the list of suggestions."""
CACHE_SECONDS = 300
"""How long any cache may store a response: it is public, and changes once a day."""


@bp.get("/schools/search.json")
@security.anyone
@limiter.limit(at_most(1200, "minute"))  # a whole local authority may share one IP address
def search_json() -> ResponseReturnValue:
    """Schools that match the text typed so far."""
    result = search.find(request.args.get("q", ""), show=MAX_SUGGESTIONS)
    response: Response = jsonify(results=[_to_json(match) for match in result.results], more=result.more)
    response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
    return response


def _to_json(match: FoundSchool) -> dict[str, Any]:
    school = match.school
    return {
        "id": school.id,
        "name": school.name,
        "place": ", ".join(part for part in (school.street, school.town, school.postcode) if part),
        "urn": school.urn,
        "dfe_number": school.dfe_number_shown,
        "phase": match.phase,
        "status": match.status,
        "can_register": match.refusal_reason is None,
    }
