"""Pages on which a closing or closed school releases its sharing, and its successor decides whether to continue it."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation import scopes
from idp.foundation.errors import NotFound
from idp.foundation.web import form_drafts, security
from idp.manage.sharing_views import DeclarationForm, another_school
from idp.sharing import agreements, closures, protected_data, releases
from idp.sharing.releases import Offer
from idp.signin import step_up

bp = Blueprint("closing", __name__, url_prefix="/manage")


@bp.get("/closing")
@security.person
def home() -> ResponseReturnValue:
    """What the register says about the closure, and the successors to which sharing was released."""
    if (elsewhere := another_school()) is not None:
        return elsewhere
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    closing = closures.closing_of(member.estab.school)
    if closing is None:
        flash("The national register does not say that your school is closing.", "info")
        return redirect(url_for("manage.home"), 303)
    released = releases.releases(member.estab_id)
    return render_template("manage/closing.html", member=member, closing=closing, released=released)


@bp.post("/closing/<int(max=2147483647):school_id>/release")
@security.person
@form_drafts.form_shown_at("manage.closing.home")
def release(school_id: int) -> ResponseReturnValue:
    """Let a successor continue what this school shares."""
    successor = releases.release(school_id, by=current_user.membership)
    flash(f"{successor.name} can now take over your sharing. Its owners decide about each service.", "success")
    return redirect(url_for(".home"), 303)


@bp.post("/closing/<int(max=2147483647):school_id>/take-back")
@security.person
@form_drafts.form_shown_at("manage.closing.home")
def take_back(school_id: int) -> ResponseReturnValue:
    """Take the release back, while the successor has not decided."""
    if (successor := releases.take_back(school_id, by=current_user.membership)) is not None:
        flash(f"{successor.name} can no longer take over your sharing.", "success")
    return redirect(url_for(".home"), 303)


@bp.route("/continue/<release_id>", methods=["GET", "POST"])
@security.person
def continue_sharing(release_id: str) -> ResponseReturnValue:
    """Show what the closed school shared, and continue the ticked services."""
    member = current_user.membership
    authority.check(member, Action.CONTINUE_SHARING)
    offer = next((offer for offer in releases.offers(member) if offer.id == release_id), None)
    if offer is None and releases.is_decided(release_id, member):  # a second click, or a colleague
        flash("Your school has already decided about this.", "info")
        return redirect(url_for("manage.home"), 303)
    if offer is None:
        raise NotFound(reason=f"{release_id} is not a release that {member.estab_id} can decide about")
    form = DeclarationForm()
    if "second_step" in request.form:
        form_drafts.save()
        return redirect(url_for("manage.security.second_step", next=form_drafts.form_url(), reason="data"), 303)
    if request.method == "POST" and _record_decision(offer, form):
        flash("Your school now shares with the services that you ticked.", "success")
        return redirect(url_for("manage.home"), 303)
    fields = request.form if request.method == "POST" else form_drafts.saved_fields()
    if fields is None:
        ticked_services = {service.client.id for service in offer.services if service.obstacle is None}
        ticked_areas = {f"{service.client.id} {name}" for service in offer.services for name in service.ticked}
    else:
        ticked_services, ticked_areas = set(fields.getlist("service")), set(fields.getlist("area"))
    page = render_template(
        "manage/continue.html", member=member, offer=offer, form=form, ticked_services=ticked_services,
        ticked_areas=ticked_areas, missing_step=step_up.missing_step(current_user) if _is_protected(offer) else None,
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _record_decision(offer: Offer, form: DeclarationForm) -> bool:
    """Record the decision; False, with an error in `form`, if it cannot be recorded."""
    member, ticked = current_user.membership, frozenset(request.form.getlist("service"))
    if not form.validate():
        return False
    clients = (service.client.id for service in offer.services)
    chosen = {client_id: _ticked(client_id) for client_id in clients if client_id in ticked}
    if not chosen:
        form.form_errors.append("Tick the services that your school continues with.")
        return False
    try:
        releases.move(
            offer.id, chosen, shown=request.form.get("shown", ""), by=member,
            second_step=current_user.has_second_step,
        )  # fmt: skip
    except protected_data.SecondStepNeeded as error:
        form.form_errors.append(error.message)  # nothing was written yet
        return False
    return True


def _ticked(client_id: str) -> frozenset[str]:
    """The optional areas that were ticked for this service."""
    values = (value.partition(" ") for value in request.form.getlist("area"))
    return frozenset(area for service, _, area in values if service == client_id)


def _is_protected(offer: Offer) -> bool:
    return any(scopes.specially_protected(service.required | service.optional) for service in offer.services)


@bp.errorhandler(releases.NotReleasable)
def not_releasable(error: releases.NotReleasable) -> ResponseReturnValue:
    """The register has changed since the page was shown."""
    flash(error.message, "warning")
    return redirect(url_for("manage.home"), 303)


@bp.errorhandler(agreements.ChangedMeanwhile)
def changed_meanwhile(error: agreements.ChangedMeanwhile) -> ResponseReturnValue:
    """A second click, a colleague's decision, or a change of what a service asks for."""
    flash(error.message, "info")
    return redirect(url_for("manage.home"), 303)
