"""The pages of a partner's people: their applications, and who they are."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.developers import applications, sandbox, signed_in
from idp.developers.forms import FailedRequestsForm, KeysForm, UrisForm
from idp.foundation.errors import BadRequest, NotFound, Refusal
from idp.foundation.web import form_drafts, post_redirect_get, security
from idp.foundation.web.throttle import at_most, limiter
from idp.partner_events import streams
from idp.partners import failure_log, registry
from idp.partners.metadata import InvalidMetadata
from idp.signin import developers
from idp.signin.forms import DeveloperInvitationForm
from idp.signin.models import Developer

bp = Blueprint("account", __name__)


@bp.get("/applications")
@security.developer
def list_applications() -> ResponseReturnValue:
    """The applications of one's own company."""
    developer = signed_in.developer()
    return render_template(
        "developers/applications.html", developer=developer, applications=applications.list_for_partner(developer)
    )


@bp.get("/applications/<client_id>")
@security.developer
def show_application(client_id: str) -> ResponseReturnValue:
    """One application of one's own company."""
    application = applications.read(signed_in.developer(), client_id)
    return render_template(
        "developers/application.html", application=application, overlaps=applications.OVERLAPS,
        try_it_url=sandbox.try_it_url(),
    )  # fmt: skip


@bp.get("/failed-requests")
@security.developer
@limiter.limit(at_most(120, "minute"))
def list_failures() -> ResponseReturnValue:
    """The log of failed requests of one's own company: of all applications, of one, or of one request."""
    developer, form = signed_in.developer(), FailedRequestsForm(formdata=request.args, meta={"csrf": False})
    client_id, rows = request.args.get("client_id", ""), []
    client = applications.find(developer, client_id) if client_id else None
    if is_valid := form.validate():
        rows = applications.failures(developer, reference=form.reference.data or "", client=client)
    page = render_template(
        "developers/failed_requests.html", form=form, rows=rows, client=client,
        max_references=failure_log.MAX_REQUEST_IDS, reference=form.reference.data if is_valid else "",
    )  # fmt: skip
    return page, 200 if is_valid else 422


@bp.post("/applications/<client_id>/secret")
@security.developer
@limiter.limit(at_most(30, "minute"))
@form_drafts.form_shown_at("developers.account.show_application")
def rotate_secret(client_id: str) -> ResponseReturnValue:
    """Make a new secret and show it, once."""
    overlap = applications.OVERLAPS.get(request.form.get("overlap", ""))
    if overlap is None:
        raise BadRequest(reason="no overlap")
    try:
        is_first = not applications.read(signed_in.developer(), client_id).secrets
        secret = applications.rotate_secret(signed_in.developer(), client_id, overlap)
    except (applications.TooManySecrets, registry.NoSecret) as error:
        return _back_to_application(client_id, error)
    post_redirect_get.mark_secret_page(back_to=url_for(".show_application", client_id=client_id))
    return render_template(
        "developers/secret.html", client=applications.find(signed_in.developer(), client_id), secret=secret,
        days=overlap // timedelta(days=1), is_first=is_first,
    )  # fmt: skip


@bp.route("/applications/<client_id>/addresses", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def change_addresses(client_id: str) -> ResponseReturnValue:
    """Change the redirect URIs, and the URIs after signing out."""
    developer = signed_in.developer()
    client, form = applications.find(developer, client_id), UrisForm()
    if request.method != "POST":
        form.show(client)
    elif form.validate():
        try:
            applications.change_addresses(
                developer, client_id, version=form.version.data, redirect_uris=form.lines(form.redirect_uris),
                after_logout=form.lines(form.post_logout_redirect_uris),
            )  # fmt: skip
        except InvalidMetadata as error:
            form.refuse(error.field_errors)
        except (applications.ChangedMeanwhile, applications.ManagesItself) as error:
            form.form_errors.append(error.message)
            form.version.raw_data, form.version.data = None, client.version
        else:
            flash("The URIs have been changed. They work within a second.", "success")
            return redirect(url_for(".show_application", client_id=client_id), 303)
    return render_template("developers/addresses.html", client=client, form=form), 422 if form.errors else 200


@bp.route("/applications/<client_id>/keys", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def change_keys(client_id: str) -> ResponseReturnValue:
    """Change the keys by which the application authenticates."""
    developer = signed_in.developer()
    client, form = applications.find(developer, client_id), KeysForm()
    if request.method != "POST":
        form.show(client)
    elif form.validate():
        try:
            applications.change_keys(
                developer, client_id, version=form.version.data, jwks=form.key_set(), jwks_uri=form.jwks_uri.data
            )
        except InvalidMetadata as error:
            form.refuse(error.field_errors)
        except (applications.ChangedMeanwhile, applications.ManagesItself) as error:
            form.form_errors.append(error.message)
            form.version.raw_data, form.version.data = None, client.version
        else:
            flash("The keys have been changed. They work within a second.", "success")
            return redirect(url_for(".show_application", client_id=client_id), 303)
    return render_template("developers/keys.html", client=client, form=form), 422 if form.errors else 200


@bp.post("/applications/<client_id>/events/<event_id>/replay")
@security.developer
@limiter.limit(at_most(30, "minute"))
@form_drafts.form_shown_at("developers.account.show_application")
def replay(client_id: str, event_id: str) -> ResponseReturnValue:
    """Deliver an event again."""
    try:
        applications.replay(signed_in.developer(), client_id, event_id)
    except (streams.NoEventStream, streams.UnknownEvent) as error:
        return _back_to_application(client_id, error)
    flash("The event will be delivered again.", "success")
    return redirect(url_for(".show_application", client_id=client_id, _anchor="events"), 303)


@bp.route("/people", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def people() -> ResponseReturnValue:
    """The people who may manage the company's applications; owners invite others."""
    developer, form = signed_in.developer(), DeveloperInvitationForm()
    if request.method == "POST":
        _owners_only(developer)
        if form.validate():
            try:
                developers.invite(
                    developer.partner,
                    form.name.data,
                    form.email.data,
                    is_owner=bool(form.is_owner.data),
                    by=developer.id,
                )
            except (developers.DeveloperExists, developers.TooManyPeople) as error:
                form.email.errors = [error.message]
            else:
                flash(f"We have written to {form.email.data}. The link works once, within 24 hours.", "success")
                return redirect(url_for(".people"), 303)
    colleagues = [row for row in developers.list_for_partner(developer.partner_id) if row.disabled_at is None]
    page = render_template("developers/people.html", developer=developer, everyone=colleagues, form=form)
    return page, 422 if form.errors else 200


@bp.post("/people/<developer_id>/remove")
@security.developer
@limiter.limit(at_most(30, "minute"))
@form_drafts.form_shown_at("developers.account.people")
def remove(developer_id: str) -> ResponseReturnValue:
    """Remove a person, and end their sessions."""
    developer = signed_in.developer()
    _owners_only(developer)
    try:
        removed = developers.remove(developer.partner_id, developer_id, by=developer.id)
    except developers.LastOwner as error:
        flash(error.message, "problem")
    else:
        flash(f"{removed.name} can no longer sign in.", "success")
    return redirect(url_for(".people"), 303)


def _owners_only(developer: Developer) -> None:
    if not developer.is_owner:
        raise NotFound(reason=f"{developer.id} is not an owner")


def _back_to_application(client_id: str, error: Refusal) -> ResponseReturnValue:
    flash(error.message, "problem")
    return redirect(url_for(".show_application", client_id=client_id), 303)
