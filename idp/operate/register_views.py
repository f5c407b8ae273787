"""The operator's page about the national register: its imports, and what changed about schools that have an account."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from idp.foundation.web import security
from idp.operate import register_changes
from idp.schools import imports

MAX_IMPORTS = 14
MAX_CHANGES = 50
bp = Blueprint("register", __name__)


@bp.get("/register")
@security.operator
def show() -> ResponseReturnValue:
    """The last imports, and the last changes that may need a phone call."""
    last = imports.latest()
    return render_template(
        "operate/register.html", last=last, is_stale=last is not None and imports.is_stale(last),
        imports=imports.recent(MAX_IMPORTS), changes=register_changes.recent(MAX_CHANGES),
    )  # fmt: skip
