"""Redirect from the former path of registration, to which other sites still link."""

from flask import Blueprint, redirect, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.routing import BaseConverter

from idp.foundation.web import security

bp = Blueprint("old_path", __name__)


class OldPath(BaseConverter):
    """The former path, in any case, with or without a slash at its end."""

    regex = "(?i:xodregister/school)/?"
    part_isolating = False


@bp.record_once
def _register_converter(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["old_path"] = OldPath


@bp.get("/<old_path:_path>")
@security.anyone
def redirect_to_registration(_path: str) -> ResponseReturnValue:
    """Redirect to the search that begins a registration."""
    return redirect(url_for("onboarding.find"), 301)
