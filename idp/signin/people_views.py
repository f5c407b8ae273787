"""Pages on which a person confirms their mobile number, and sets their first password by a link."""

from flask import Blueprint, flash, redirect, render_template, request, session as form_cookie, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import links, passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal
from idp.foundation.web import admission, form_drafts, post_redirect_get, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import first_password, mobile, password, session
from idp.signin.forms import MobileCodeForm, OwnPasswordForm

bp = Blueprint("people", __name__)

MARK_KEY = "shown"
"""The key in the form cookie under which `first_password.shown_mark` is kept."""


@bp.route("/mobile/confirm", methods=["GET", "POST"])
@security.person
def confirm_mobile() -> ResponseReturnValue:
    """Send a code by text message and check it. Redirects to `next`."""
    person, return_path = current_user.person, security.local_path(request.args.get("next"))
    if person.mobile_confirmed_at:
        return redirect(return_path, 303)
    if "send-code" in request.form:
        mobile.send(person)
        return redirect(url_for(".confirm_mobile", next=return_path), 303)
    form = MobileCodeForm()
    if form.validate_on_submit():
        try:
            mobile.confirm(person, form.code.data)
        except Refusal as error:  # no rollback: the attempt is counted
            form.show_refusal(error, form.code)
        else:
            flash("Your mobile number is confirmed.", "success")
            return redirect(return_path, 303)
    page = render_template(
        "signin/mobile.html", form=form, number=mobile.readable(person.mobile), waiting=mobile.is_waiting(person),
        back=return_path,
    )  # fmt: skip
    return form.response(page)


@bp.route("/welcome/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
@admission.hashes_passwords
def welcome(secret: str) -> ResponseReturnValue:
    """The first password of a person who was added: their own, or a generated one. A GET does not use the link up."""
    if "generate" in request.form:
        return _generate(secret)
    person, form = _invited_person(secret), OwnPasswordForm()
    if form.validate_on_submit():
        if (reason := password.rejection_reason(form.password.data, person)) is None:
            _set_password(secret, person.id, _hash(form.password.data), is_generated=False)
            flash("Your password is set. You can sign in with it now.", "success")
            return redirect(url_for("signin.sign_in"), 303)
        form.password.errors = [reason]
    return render_template("signin/welcome.html", form=form, person=person), 422 if form.errors else 200


def _generate(secret: str) -> ResponseReturnValue:
    """Generate a passphrase and show it; or replace it, if the browser that was just shown it asks again."""
    earlier = _replaceable(secret)
    person_id, passphrase = (earlier or _invited_person(secret)).id, passphrases.generate()
    made_at = earlier.password_changed_at if earlier else None
    password_hash = _hash(passphrase)
    if earlier:
        if (person := _replaceable(secret)) is None:
            raise links.LinkUsed(reason="a person signed in meanwhile")
        first_password.replace(person, made_at, password_hash)
    else:
        person = _set_password(secret, person_id, password_hash, is_generated=True)
    form_cookie[MARK_KEY] = first_password.shown_mark(person)
    post_redirect_get.mark_secret_page(back_to=url_for(".welcome", secret=secret))
    return render_template("signin/welcome_done.html", person=person, password=passphrase, again=earlier is not None)


@bp.post("/welcome/<secret>/again")
@security.anyone
@form_drafts.form_shown_at("signin.people.welcome")
@limiter.limit(at_most(10, "minute"))
def welcome_again(secret: str) -> ResponseReturnValue:
    """Send a new link in place of one that cannot be used; the page does not reveal whether one was sent."""
    links.resend_welcome(secret)
    return redirect(url_for(".link_sent"), 303)


@bp.get("/welcome/sent")
@security.anyone
def link_sent() -> ResponseReturnValue:
    """Where to look for the new link."""
    return render_template("signin/link_sent.html")


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and offer a new one."""
    secret = (request.view_args or {}).get("secret")
    if secret and isinstance(error, links.LinkUsed) and (person := _replaceable(secret)):
        return render_template("signin/welcome_again.html", person=person, secret=secret), error.status
    return render_template("signin/link_refused.html", refusal=error, secret=secret), error.status


def _invited_person(secret: str) -> Administrator:
    person = people.get(links.check(secret, links.WELCOME).person_id)
    if person is None:
        raise links.LinkUnknown(reason="the person was removed")
    return person


def _replaceable(secret: str) -> Administrator | None:
    return first_password.replaceable_person(secret, form_cookie.get(MARK_KEY))


def _hash(text: str) -> str:
    """The hash, calculated between two transactions."""
    database.end_read_transaction()
    return runtime.passwords().hash(text)


def _set_password(secret: str, person_id: str, password_hash: str, *, is_generated: bool) -> Administrator:
    """Use the link up and set the password. Raises a `LinkRefused` if the link was used meanwhile."""
    person = people.get_locked(person_id)  # before the link, in the order of a removal
    links.spend(secret, links.WELCOME, person_id)
    if person is None:
        raise links.LinkUnknown(reason="the person was removed meanwhile")
    password.change(person, password_hash, by=person_id, is_generated=is_generated)
    session.end_all(person_id, "password_changed")
    return person
