"""The school's first page, and its decisions about sharing: change, pause, resume, stop."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import authority, members
from idp.estabs.permissions import Action
from idp.foundation import clock
from idp.foundation.errors import NotFound
from idp.foundation.web import form_drafts, security
from idp.manage import (
    account_views,
    activity_views,
    add_school_views,
    closing_views,
    colleague_views,
    endpoint_views,
    invitation_views,
    join_views,
    linked_account_views,
    overview,
    own_account_views,
    people_views,
    second_step_rule_views,
    security_views,
    sharing_views,
    system_views,
)
from idp.manage.overview import Shared
from idp.sharing import authorise, processing_record
from idp.signin import step_up
from idp.xporter import endpoints

bp = Blueprint("manage", __name__)
bp.register_blueprint(security_views.bp)
bp.register_blueprint(own_account_views.bp)
bp.register_blueprint(linked_account_views.bp)
bp.register_blueprint(account_views.bp)
bp.register_blueprint(activity_views.bp)
bp.register_blueprint(colleague_views.bp)
bp.register_blueprint(people_views.bp)
bp.register_blueprint(invitation_views.bp)
bp.register_blueprint(join_views.bp)
bp.register_blueprint(second_step_rule_views.bp)
bp.register_blueprint(add_school_views.bp)
bp.register_blueprint(sharing_views.bp)
bp.register_blueprint(closing_views.bp)
bp.register_blueprint(system_views.bp)
bp.register_blueprint(endpoint_views.bp)


@bp.get("/")
@security.anyone
def front() -> ResponseReturnValue:
    """Redirect to the first page of the person who is signed in, otherwise to sign-in."""
    if not current_user.is_authenticated:
        return redirect(url_for("signin.sign_in"), 303)
    return redirect(url_for("signin.operators.home" if current_user.kind == "operator" else ".home"), 303)


@bp.get("/manage")
@security.person
def home() -> ResponseReturnValue:
    """The overview."""
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    return render_template("manage/overview.html", overview=overview.build_overview(member))


@bp.route("/manage/sharing/<client_id>/stop", methods=["GET", "POST"])
@security.person
def stop_sharing(client_id: str) -> ResponseReturnValue:
    """Ask for confirmation, and stop sharing at once."""
    member, shared = current_user.membership, _shared(client_id)
    endpoint = endpoints.current(member.estab_id) if shared.is_server else None
    if endpoint is not None and endpoint.client_id == client_id:
        return redirect(url_for("manage.endpoint.remove"), 303)  # the server is removed and its agreement ends, at once
    if request.method != "POST":  # a HEAD has no CSRF token, and must not stop anything
        return render_template("manage/stop.html", shared=shared, member=member)
    authorise.withdraw(member.estab_id, client_id, by=member)
    action = "disconnected its server" if shared.is_server else f"stopped sharing with {shared.name}"
    flash(f"Your school has {action}.", "success")
    return redirect(url_for(".home"), 303)


@bp.route("/manage/sharing/<client_id>/change", methods=["GET", "POST"])
@security.person
def change_sharing(client_id: str) -> ResponseReturnValue:
    """Change the areas that the school may choose."""
    member, shared = current_user.membership, _shared(client_id)
    choice = overview.choice_of(member, client_id)
    if choice is None:
        raise NotFound(reason=f"{member.estab_id} has no choice of what {client_id} gets")
    if request.method != "POST":
        before = form_drafts.saved_fields()
        ticked = choice.ticked if before is None else choice.chosen(before.getlist("area"))
        return render_template(
            "manage/change.html",
            shared=shared,
            choice=choice,
            member=member,
            ticked=ticked,
            missing_step=step_up.missing_step(current_user),
        )
    ticked_now, second_step = choice.chosen(request.form.getlist("area")), current_user.has_second_step
    if "second_step" in request.form:
        form_drafts.save()
        return redirect(url_for(".security.second_step", next=form_drafts.form_url(), reason="data"), 303)
    if ticked_now != choice.ticked:
        new_scopes = choice.required | ticked_now
        authorise.change(member.estab_id, client_id, new_scopes, by=member, second_step=second_step)
        flash(f"What your school shares with {shared.name} has been changed.", "success")
    return redirect(url_for(".home"), 303)


@bp.post("/manage/sharing/<client_id>/pause")
@security.person
@form_drafts.form_shown_at("manage.home")
def pause_sharing(client_id: str) -> ResponseReturnValue:
    """Pause sharing, without confirmation, because resuming undoes it."""
    member, shared = current_user.membership, _shared(client_id)
    try:
        authorise.pause(member.estab_id, client_id, by=member)
    except authorise.NothingShared:  # pressed twice, or a colleague did it
        flash(f"{_subject(shared)} is already {'over' if shared.state == 'expired' else 'paused'}.", "info")
    else:
        verb = "sends" if shared.is_server else "receives"
        flash(f"{_subject(shared)} has been paused. It {verb} nothing until you resume.", "success")
    return redirect(url_for(".home"), 303)


@bp.post("/manage/sharing/<client_id>/resume")
@security.person
@form_drafts.form_shown_at("manage.home")
def resume_sharing(client_id: str) -> ResponseReturnValue:
    """Resume sharing after a pause."""
    member, shared = current_user.membership, _shared(client_id)
    try:
        authorise.resume(member.estab_id, client_id, by=member)
    except authorise.NothingShared:  # pressed twice, or a colleague did it
        flash(f"{_subject(shared)} is {'over' if shared.state == 'expired' else 'not paused'}.", "info")
    else:
        outcome = "'s server sends data again" if shared.is_server else f" shares with {shared.name} again"
        flash(f"Your school{outcome}.", "success")
    return redirect(url_for(".home"), 303)


@bp.get("/manage/sharing/record.csv")
@security.person
def download_record() -> ResponseReturnValue:
    """The processing record as CSV. The byte order mark makes spreadsheets read it as UTF-8."""
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    estab = member.estab
    name = f"processing-record-{estab.estab_id}-{clock.today()}.csv"
    response = Response("\ufeff" + processing_record.as_csv(estab.id), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@bp.errorhandler(members.RemovedAlready)
def removed_already(error: members.RemovedAlready) -> ResponseReturnValue:
    """A form about a person who was removed, by a double click or a colleague: say so where people are listed."""
    flash(error.message, "info")
    return redirect(url_for("manage.people.home"), 303)


@bp.errorhandler(authorise.NothingShared)
def stopped_already(error: authorise.NothingShared) -> ResponseReturnValue:
    """Sharing has stopped already, by a double click or a colleague: say so."""
    client_id = (request.view_args or {}).get("client_id", "")
    stopped = authorise.last_withdrawn(current_user.membership.estab_id, client_id)
    if stopped is None:
        flash(error.message, "info")
    elif stopped.is_of_server:
        flash("Your school has already disconnected that server.", "info")
    else:
        flash(f"Your school has already stopped sharing with {stopped.client.client_name}.", "info")
    return redirect(url_for("manage.home"), 303)


def _shared(client_id: str) -> Shared:
    member = current_user.membership
    authority.check(member, Action.SEE_SHARING)
    shared = overview.shared_with(member, client_id)
    if shared is None:
        reason = f"{member.estab_id} shares nothing with that client"
        raise (authorise.NothingShared if authorise.last_withdrawn(member.estab_id, client_id) else NotFound)(
            reason=reason
        )
    return shared


def _subject(shared: overview.Shared) -> str:
    """What a message is about: sharing with a service, or the connection of the school's server."""
    return "The connection of your school's server" if shared.is_server else f"Sharing with {shared.name}"
