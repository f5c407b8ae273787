"""The page behind the link of a partner's invitation. Opening it changes nothing: mail scanners open links."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.estabs.links import LinkRefused
from idp.foundation import dates, scopes
from idp.foundation.errors import BadRequest
from idp.foundation.web import security
from idp.foundation.web.throttle import at_most, limiter
from idp.invitations import answer, mailing
from idp.invitations.answer import OpenInvitation
from idp.invitations.forms import PassOnForm
from idp.onboarding import invited_school

bp = Blueprint("invitations", __name__, url_prefix="/invitations")


@bp.route("/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def show(secret: str) -> ResponseReturnValue:
    """Who asks for what, and whether the reader may decide; on a button, continue to the partner, or decline."""
    security.allow_form_redirects()
    current = answer.check(secret)
    if request.method != "POST":
        return _page("show", current, secret)
    pressed = request.form.get("answer")
    if pressed == "yes":
        start = answer.begin(secret)
        invited_school.remember(start.client_id, current.invitation.school)
        return redirect(start.url if start.restarts else url_for(".show", secret=secret), 303)
    if pressed == "not_for_us":
        answer.decline(secret)
        return redirect(url_for(".declined"), 303)
    raise BadRequest(reason="no answer to an invitation")


@bp.route("/<secret>/pass-on", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def pass_on(secret: str) -> ResponseReturnValue:
    """Name the person who decides, and have us write to them."""
    current, form = answer.check(secret), PassOnForm()
    form.disclose.label.text = f"Tell {current.client.client_name} who it is"
    if current.is_connected:
        return redirect(url_for(".show", secret=secret), 303)
    if form.validate_on_submit():
        try:
            answer.forward(secret, form.recipient(), disclose=bool(form.disclose.data))
        except (answer.SamePerson, answer.PassedOnTooOften, mailing.TooManyMails) as error:
            form.show_refusal(error, form.email)
        else:
            return redirect(url_for(".passed_on"), 303)
    return form.response(_page("pass_on", current, secret, form=form))


@bp.get("/passed-on")
@security.anyone
def passed_on() -> ResponseReturnValue:
    """The invitation is with someone else now."""
    return render_template("school_invitation/passed_on.html")


@bp.get("/declined")
@security.anyone
def declined() -> ResponseReturnValue:
    """The invitation is over."""
    return render_template("school_invitation/declined.html")


def _page(name: str, current: OpenInvitation, secret: str, **context: object) -> str:
    requested = current.invitation.scopes & current.client.scopes
    data = scopes.filter_by_kind("data", requested)
    return render_template(
        f"school_invitation/{name}.html", current=current, client=current.client, school=current.invitation.school,
        secret=secret, required=scopes.in_order(data & current.client.required_scopes),
        optional=scopes.ordinary_first(data - current.client.required_scopes),
        until=dates.day_and_time(current.link.expires_at), **context,
    )  # fmt: skip


@bp.errorhandler(LinkRefused)
def link_refused(error: LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and what to do next."""
    start = error.start if isinstance(error, answer.InvitationBegun) else None
    return render_template("school_invitation/refused.html", refusal=error, start=start), error.status


@bp.errorhandler(answer.SchoolConnected)
def connected_meanwhile(_refused: answer.SchoolConnected) -> ResponseReturnValue:
    """The school was connected while the page was open: show what is so now."""
    return redirect(url_for("invitations.show", secret=(request.view_args or {})["secret"]), 303)
