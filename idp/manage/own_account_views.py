"""Below the Security page: a person's own password, and where they are signed in."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation.errors import TooManyRequests
from idp.foundation.web import admission, form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.manage import second_step_setup
from idp.signin import devices, factors, own_password, own_sessions, password, session, sign_ins, step_up
from idp.signin.forms import ChangePasswordForm

MAX_PAGE = 100
"""The last page of the list of sign-ins: no list has more (`signin.retention`)."""
bp = Blueprint("own", __name__, url_prefix="/manage/security")


@bp.route("/password", methods=["GET", "POST"])
@security.own_account
@limiter.limit(at_most(60, "minute"), methods=["POST"])
@admission.hashes_passwords
def change_password() -> ResponseReturnValue:
    """The current password and a new one. A person with a second factor must have signed in with it moments ago."""
    if factors.has_any(current_user.id) and not step_up.is_recent(current_user):
        return step_up.sign_in_again()
    form = ChangePasswordForm()
    if not form.validate_on_submit() or not _change_password(form):
        return form.response(render_template("manage/change_password.html", form=form, person=current_user.person))
    flash("Your password has been changed. You are signed out everywhere else.", "success")
    return redirect(url_for("manage.security.home"), 303)


def _change_password(form: ChangePasswordForm) -> bool:
    """Change the password; False, with errors in the form, if either password is refused."""
    current, chosen, device = form.current_password.data, form.password.data, devices.device_id()
    if reason := password.rejection_reason(chosen, current_user.person):
        form.password.errors = [reason]
        return False
    try:
        own_password.change(current_user.id, current, chosen, device=device, sid=current_user.sid)
    except own_password.WrongCurrentPassword as error:  # no rollback: the guess is counted
        form.show_refusal(error, form.current_password)
        return False
    except TooManyRequests as error:
        form.show_refusal(error)
        return False
    session.renew(current_user.amr)
    return True


@bp.get("/sessions")
@security.own_account
def sessions() -> ResponseReturnValue:
    """Where the person is signed in."""
    active = own_sessions.active(current_user, request.remote_addr or "")
    return render_template("manage/sessions.html", sessions=active)


@bp.get("/sign-ins")
@security.own_account
def list_sign_ins() -> ResponseReturnValue:
    """The person's sign-ins of twelve months, and how many wrong passwords were tried."""
    page = max(1, min(request.args.get("page", 1, type=int), MAX_PAGE))
    page_of_sign_ins, has_older = sign_ins.newest(current_user, request.remote_addr or "", page=page)
    return render_template(
        "manage/sign_ins.html", sign_ins=page_of_sign_ins, page=page, has_older=has_older and page < MAX_PAGE,
        wrong_passwords=sign_ins.wrong_passwords(current_user.id),
    )  # fmt: skip


@bp.route("/others", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def other_sessions() -> ResponseReturnValue:
    """After a factor was changed: offer to end the person's other sessions (ASVS 7.4.3), and continue."""
    flow = second_step_setup.current()
    others = own_sessions.others(current_user, request.remote_addr or "")
    if request.method == "POST":
        own_sessions.end_others(current_user)
        flash("You are signed out everywhere else.", "success")
    elif others:
        return render_template("manage/other_sessions.html", sessions=others, back=flow.return_path)
    return redirect(flow.return_path, 303)


@bp.post("/sessions/<sid>/end")
@security.own_account
@form_drafts.form_shown_at("manage.own.sessions")
@step_up.recent_sign_in_required
def end_session(sid: str) -> ResponseReturnValue:
    """End one session elsewhere."""
    flash(f"Signed out: {own_sessions.end(current_user, sid)}.", "success")
    return redirect(url_for(".sessions"), 303)


@bp.post("/sessions/end-others")
@security.own_account
@form_drafts.form_shown_at("manage.own.sessions")
@step_up.recent_sign_in_required
def end_other_sessions() -> ResponseReturnValue:
    """End all sessions but this one."""
    own_sessions.end_others(current_user)
    flash("You are signed out everywhere else.", "success")
    return redirect(url_for(".sessions"), 303)


@bp.post("/sessions/end-everywhere")
@security.own_account
@form_drafts.form_shown_at("manage.own.sessions")
@step_up.recent_sign_in_required
def sign_out_everywhere() -> ResponseReturnValue:
    """End all sessions, this one too, and forget all known browsers."""
    own_sessions.end_everywhere(current_user)
    session.end_here()
    return redirect(url_for("signin.signed_out"), 303)
