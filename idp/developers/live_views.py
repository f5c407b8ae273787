"""The pages on which a partner asks to go live, or to ask schools for more, and follows its requests."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.developers import applications, going_live, live_form, signed_in
from idp.foundation.web import form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.partners import registration_requests
from idp.partners.metadata import InvalidMetadata

bp = Blueprint("live", __name__)


@bp.route("/applications/<client_id>/request", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def ask(client_id: str) -> ResponseReturnValue:
    """Ask to go live with a sandbox application, or to change what a live one asks schools for."""
    developer = signed_in.developer()
    client, form = applications.find(developer, client_id), live_form.form_class()()
    base = going_live.base_manifest(client)
    if not client.is_sandbox:
        form.leave_out_uris()
    if request.method != "POST":
        if form_drafts.saved_fields() is None:
            document, reasons = going_live.prefill(developer, client)
            form.show_registration(document, version=client.version, reasons=reasons)
    elif form.validate():
        try:
            registration_request = going_live.ask(
                developer, client_id, form.document(base), version=form.version.data, reasons=form.reasons
            )
        except InvalidMetadata as error:
            form.refuse_all(error.field_errors)
        except (
            applications.ChangedMeanwhile, applications.ManagesItself, registration_requests.NothingDiffers,
            registration_requests.TooManyOpenRequests,
        ) as error:  # fmt: skip
            form.form_errors.append(error.message)
            form.version.raw_data, form.version.data = None, client.version
        else:
            flash("We have your request. We will e-mail you when we have decided.", "success")
            return redirect(url_for(".show_request", request_id=registration_request.id), 303)
    page = render_template(
        "developers/ask.html", client=client, form=form, sandbox_redirect_uris=going_live.sandbox_redirect_uris(client)
    )
    return page, 422 if form.errors else 200


@bp.get("/requests")
@security.developer
def list_requests() -> ResponseReturnValue:
    """The requests of one's own company."""
    return render_template("developers/requests.html", requests=going_live.list_for_partner(signed_in.developer()))


@bp.get("/requests/<request_id>")
@security.developer
def show_request(request_id: str) -> ResponseReturnValue:
    """A request, with what schools would read."""
    return render_template("developers/request.html", case=going_live.read(signed_in.developer(), request_id))


@bp.post("/requests/<request_id>/withdraw")
@security.developer
@form_drafts.form_shown_at("developers.live.show_request")
def withdraw(request_id: str) -> ResponseReturnValue:
    """Take a request back."""
    try:
        going_live.withdraw(signed_in.developer(), request_id)
    except registration_requests.AlreadyDecided as error:
        flash(error.message, "problem")
    else:
        flash("The request is withdrawn.", "success")
    return redirect(url_for(".show_request", request_id=request_id), 303)
