"""The page behind the link of an invitation to act for a school. Opening it changes nothing: mail scanners open links.

It is here, above signing in and registration, because it needs the session of the one and the fields of the other.
"""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import StringField, TelField

from idp.estabs import links, people, person_invitations
from idp.estabs.models import Administrator, PersonInvitation
from idp.estabs.permissions import SUMMARIES, TITLES
from idp.foundation.errors import Refusal
from idp.foundation.web import form_drafts, security
from idp.foundation.web.contact_fields import mobile_number, one_line, parse_mobile, person_name
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import session

bp = Blueprint("invitation", __name__, url_prefix="/invitation")


class NewPersonForm(Form):
    """A person without an account."""

    name = StringField("Your name", filters=[one_line], validators=[person_name])
    mobile = TelField("Your mobile number", validators=[mobile_number])


@bp.route("/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def answer(secret: str) -> ResponseReturnValue:
    """What the person is invited to, and a button to accept; they sign in first if they have an account."""
    invitation = person_invitations.check(secret)
    if current_user.is_authenticated:
        signed_in = session.current()
        person = signed_in.person if signed_in else None
        if person is None or person.email_folded != invitation.email_folded:
            return _page("other_person", invitation, secret=secret)
        return _accept_as(person, invitation, secret)
    account = person_invitations.account_of(invitation)
    if account is not None:
        name = account.sign_in_email or account.username
        return _page(
            "sign_in", invitation, secret=secret, username=name, has_password=account.password_hash is not None
        )
    return _accept_as_new(invitation, secret)


def _accept_as(person: Administrator, invitation: PersonInvitation, secret: str) -> ResponseReturnValue:
    form = Form()
    is_member = people.membership(person.id, invitation.estab_id) is not None
    if form.validate_on_submit() and not is_member:
        member = person_invitations.accept(secret, person)
        session.choose(member.estab_id)
        flash(f"You now act for {member.estab.name}.", "success")
        return redirect(url_for("manage.home"), 303)
    return _page("accept", invitation, form=form, is_member=is_member, person=person)


def _accept_as_new(invitation: PersonInvitation, secret: str) -> ResponseReturnValue:
    form = NewPersonForm(name=invitation.name)
    if form.validate_on_submit():
        _, welcome = person_invitations.accept_as_new(
            secret, name=form.name.data, mobile=parse_mobile(form.mobile.data)
        )
        return redirect(url_for("signin.people.welcome", secret=welcome), 303)
    return _page("new_person", invitation, form=form), 422 if form.errors else 200


def _page(name: str, invitation: PersonInvitation, **context: Any) -> str:
    """The page of this name, which says what the person is invited to."""
    role, summary = TITLES[invitation.role], SUMMARIES[invitation.role]
    return render_template(
        f"person_invitation/{name}.html", invitation=invitation, role_name=role, role_summary=summary, **context
    )


@bp.post("/<secret>/sign-out")
@security.anyone
@form_drafts.form_shown_at("manage.invitation.answer")
def sign_out(secret: str) -> ResponseReturnValue:
    """Sign out the person who was not invited, and show the invitation again."""
    session.end_here()
    return redirect(url_for(".answer", secret=secret), 303)


@bp.post("/<secret>/password")
@security.anyone
@form_drafts.form_shown_at("manage.invitation.answer")
@limiter.limit(at_most(10, "minute"))
def send_password_link(secret: str) -> ResponseReturnValue:
    """Mail a link to choose a password to a person who accepted and has none; the response is the same for all."""
    if (person := person_invitations.find_without_password(secret)) is not None:
        links.send_welcome(person.id)
    return redirect(url_for("signin.people.link_sent"), 303)


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and what to do; a person who was interrupted can choose a password."""
    secret = (request.view_args or {})["secret"]
    lacks_password = error.code == links.LinkUsed.code and person_invitations.find_without_password(secret) is not None
    page = render_template(
        "person_invitation/refused.html", refusal=error, secret=secret, lacks_password=lacks_password
    )
    return page, error.status


@bp.errorhandler(person_invitations.HasAccount)
@bp.errorhandler(person_invitations.InvitedSomeoneElse)
@bp.errorhandler(person_invitations.MemberAlready)
def changed_meanwhile(_refused: Refusal) -> ResponseReturnValue:
    """The account was made or changed while the page was open: show the present state."""
    return redirect(url_for("manage.invitation.answer", secret=(request.view_args or {})["secret"]), 303)
