"""The operator's pages about what partners ask for. `idp clients requests` does the same by the same functions."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import IntegerField, TextAreaField
from wtforms.validators import InputRequired, Length
from wtforms.widgets import HiddenInput

from idp.foundation.database import savepoint
from idp.foundation.web import security
from idp.foundation.web.forms import Form, empty_if_invisible
from idp.foundation.web.throttle import at_most, limiter
from idp.partners import registration_requests
from idp.partners.metadata import InvalidMetadata

bp = Blueprint("requests", __name__, url_prefix="/requests")


class DecisionForm(Form):
    """Why a request is declined, and the version of the registration that the page compared it with."""

    version = IntegerField("Version", [InputRequired("Please load this page again.")], widget=HiddenInput())
    reason = TextAreaField("Why it is declined", [Length(max=1000, message="That is too long.")], [empty_if_invisible])


@bp.get("")
@security.operator
def list_requests() -> ResponseReturnValue:
    """The requests that wait."""
    return render_template("operate/requests.html", requests=registration_requests.waiting())


@bp.route("/<request_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_request(request_id: str) -> ResponseReturnValue:
    """All that schools would read, and what differs from now; approve the request, or decline it with a reason."""
    case, form = registration_requests.read(registration_requests.find(request_id)), DecisionForm()
    if request.method == "POST" and form.validate():
        try:
            with savepoint():  # a request that cannot be registered stays undecided
                message = _decide(request_id, form)
        except registration_requests.ReasonMissing as error:
            form.reason.errors = [error.message]
        except (registration_requests.AlreadyDecided, registration_requests.ChangedMeanwhile) as error:
            form.form_errors.append(error.message)
        except InvalidMetadata as error:
            form.form_errors.append(f"This can no longer be registered: {error.message}")
        else:
            flash(message, "success")
            return redirect(url_for(".show_request", request_id=request_id), 303)
    form.version.raw_data, form.version.data = None, case.version
    return render_template("operate/request.html", case=case, form=form), 422 if form.errors else 200


def _decide(request_id: str, form: DecisionForm) -> str:
    """Approve or decline, as the button says; returns what was done."""
    if "approve" in request.form:
        client = registration_requests.approve(request_id, by=current_user.id, version=form.version.data)
        return f"{client.client_name} is registered as the request says: {client.id}."
    registration_requests.decline(request_id, form.reason.data or "", by=current_user.id)
    return "The request has been declined."
