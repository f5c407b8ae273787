"""Decisions about a service that a school shares with already: renewing what ends, and what it asks for in addition."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import BooleanField
from wtforms.validators import InputRequired

from idp.estabs import authority, people
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import scopes
from idp.foundation.errors import NotFound
from idp.foundation.web import form_drafts, security
from idp.foundation.web.forms import Form
from idp.manage import overview
from idp.manage.overview import Shared
from idp.partners import registry
from idp.sharing import agreements, authorise, mis, protected_data, renewal, reviewing
from idp.sharing.models import Authorisation
from idp.signin import step_up

bp = Blueprint("sharing", __name__, url_prefix="/manage/sharing")


class DeclarationForm(Form):
    """The declaration of a person who agrees to more."""

    authority = BooleanField(
        "I have authority to agree to this for the school",
        [InputRequired("Tick the box if you have authority to agree. If not, please ask someone who does.")],
    )


@bp.route("/<client_id>/renew", methods=["GET", "POST"])
@security.person
def renew(client_id: str) -> ResponseReturnValue:
    """Show what is shared and until when it would be, and renew it. The link in our mails names the school."""
    if (elsewhere := another_school()) is not None:
        return elsewhere
    member, shared, agreement = shared_by(client_id)
    client = registry.client(client_id)
    if shared.is_server and shared.state == "expired":
        flash("The connection of your school's server has ended. It can be connected again with a new code.", "info")
        return redirect(url_for("manage.endpoint.home"), 303)
    if client is None or not renewal.is_due(agreement):
        lasts = "'s server is connected" if shared.is_server else f" shares with {shared.name}"
        flash(f"There is nothing to renew: your school{lasts} until {shared.until}.", "info")
        return redirect(url_for("manage.home"), 303)
    if "second_step" in request.form:
        return redirect(url_for("manage.security.second_step", next=form_drafts.form_url(), reason="data"), 303)
    if request.method == "POST":
        given = renewal.renew(
            member.estab_id, client_id, replaces=request.form.get("replaces", ""), by=member,
            version=request.form.get("version", ""), second_step=current_user.has_second_step,
        )  # fmt: skip
        until = overview.to_shared(given).until
        subject = "The connection of your school's server" if shared.is_server else f"Sharing with {shared.name}"
        flash(f"{subject} has been renewed until {until}.", "success")
        return redirect(url_for("manage.home"), 303)
    missing = step_up.missing_step(current_user) if scopes.specially_protected(agreement.scopes) else None
    return render_template(
        "manage/renew.html", shared=shared, agreement=agreement, client=client, member=member,
        until=authorise.default_end(client), missing_step=missing,
    )  # fmt: skip


@bp.route("/<client_id>/review", methods=["GET", "POST"])
@security.person
def review(client_id: str) -> ResponseReturnValue:
    """Show what a service asks for in addition, and agree to it or decline. The link in our mails names the school."""
    if (elsewhere := another_school()) is not None:
        return elsewhere
    member, shared, agreement = shared_by(client_id)
    client, pending_review = registry.client(client_id), shared.review
    if client is None or pending_review is None:
        flash(f"There is nothing to decide about {shared.name} at the moment.", "info")
        return redirect(url_for("manage.home"), 303)
    form, ticked = DeclarationForm(), frozenset(request.form.getlist("area"))
    if "second_step" in request.form:
        form_drafts.save()
        return redirect(url_for("manage.security.second_step", next=form_drafts.form_url(), reason="data"), 303)
    if request.method == "POST" and _record_decision(client_id, member, form, ticked):
        message = "does not agree to more than before" if "decline" in request.form else "has agreed to it"
        flash(f"Your school {message}: {shared.name}.", "success")
        return redirect(url_for("manage.home"), 303)
    if request.method != "POST" and (before := form_drafts.saved_fields()) is not None:
        ticked = frozenset(before.getlist("area"))
    page = render_template(
        "manage/review.html", shared=shared, agreement=agreement, client=client, member=member, review=pending_review,
        form=form, ticked=ticked, missing_step=step_up.missing_step(current_user),
        needs_second_step=bool(scopes.specially_protected(pending_review.required)),
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _record_decision(client_id: str, member: Membership, form: "DeclarationForm", ticked: frozenset[str]) -> bool:
    """Record the decision of the button that was pressed; False, with an error in `form`, if it cannot be recorded."""
    replaces, shown = request.form.get("replaces", ""), request.form.get("shown", "")
    if "decline" in request.form:
        reviewing.decline(member.estab_id, client_id, replaces=replaces, shown=shown, by=member)
        return True
    authority.check(member, Action.AUTHORISE)
    if not form.validate():
        return False
    try:
        reviewing.agree(
            member.estab_id, client_id, ticked, replaces=replaces, shown=shown, by=member,
            second_step=current_user.has_second_step,
        )  # fmt: skip
    except protected_data.SecondStepNeeded as error:
        form.form_errors.append(error.message)
        return False
    return True


@bp.errorhandler(agreements.ChangedMeanwhile)
def changed_meanwhile(error: agreements.ChangedMeanwhile) -> ResponseReturnValue:
    """A second click, or a colleague's decision at the same moment: say so where it can be seen."""
    flash(error.message, "info")
    return redirect(url_for("manage.home"), 303)


@bp.errorhandler(renewal.NothingToRenew)
def nothing_to_renew(error: renewal.NothingToRenew) -> ResponseReturnValue:
    """The agreement has been renewed already."""
    flash(error.message, "info")
    return redirect(url_for("manage.home"), 303)


@bp.errorhandler(mis.MisUnknown)
@bp.errorhandler(mis.MisNotAccepted)
def another_system(error: mis.MisUnknown | mis.MisNotAccepted) -> ResponseReturnValue:
    """The service does not work with the school's system."""
    flash(error.message, "warning")
    return redirect(url_for("manage.home"), 303)


def shared_by(client_id: str) -> tuple[Membership, Shared, Authorisation]:
    """The person, and what their school shares with this service. Raises `NotFound`, and `NothingShared` if no more."""
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    agreement = agreements.current(member.estab_id, client_id)
    if agreement is None:
        reason = f"{member.estab_id} shares nothing with that client"
        raise (agreements.NothingShared if authorise.last_withdrawn(member.estab_id, client_id) else NotFound)(
            reason=reason
        )
    return member, overview.to_shared(agreement), agreement


def another_school() -> ResponseReturnValue | None:
    """Lead a person who acts for several schools to the choice of the one that the address names."""
    school, member = request.args.get("school"), current_user.membership
    if school is None or school == member.estab.estab_id:
        return None
    if all(own.estab.estab_id != school for own in people.active_memberships(current_user.person)):
        raise NotFound(reason="a school that the person does not act for")
    return redirect(url_for("signin.schools.choose", next=form_drafts.form_url()), 303)
