"""Pages for a person's own account: confirming the mobile, and the first password by a link."""

from flask import Blueprint, flash, redirect, render_template, request, session as form_cookie, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import links, passphrases, people
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal
from idp.foundation.web import admission, again, answers, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import first_password, mobile, password, session
from idp.signin.forms import MobileCode, OwnPassword

bp = Blueprint("people", __name__)

SHOWN = "shown"
"""Where the form cookie keeps `first_password.mark`."""


@bp.route("/mobile/confirm", methods=["GET", "POST"])
@security.person
def confirm_mobile() -> ResponseReturnValue:
    """Text a code, and take it. Leads on to `next`."""
    person, back = current_user.person, security.local_path(request.args.get("next"))
    if person.mobile_confirmed_at:
        return redirect(back, 303)
    if "send-code" in request.form:
        mobile.send(person)
        return redirect(url_for(".confirm_mobile", next=back), 303)
    form = MobileCode()
    if form.validate_on_submit():
        try:
            mobile.confirm(person, form.code.data)
        except Refusal as refused:  # a page, not a rollback: the try counts
            form.code.errors = [refused.says]
        else:
            flash("Your mobile number is confirmed.", "success")
            return redirect(back, 303)
    page = render_template(
        "signin/mobile.html", form=form, number=mobile.in_words(person.mobile), waiting=mobile.is_waiting(person),
        back=back,
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.route("/welcome/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
@admission.hashes
def welcome(secret: str) -> ResponseReturnValue:
    """The first password of a person who was added: their own, or one we make. Looking at the page spends nothing."""
    if "generate" in request.form:
        return _made(secret)
    person, form = _welcomed(secret), OwnPassword()
    if form.validate_on_submit():
        if (reason := password.why_not(form.password.data, person)) is None:
            _settle(secret, person.id, _hashed(form.password.data), is_ours=False)
            flash("Your password is set. You can sign in with it now.", "success")
            return redirect(url_for("signin.sign_in"), 303)
        form.password.errors = [reason]
    return render_template("signin/welcome.html", form=form, person=person), 422 if form.errors else 200


def _made(secret: str) -> ResponseReturnValue:
    """Make a passphrase and show it; or another, where the browser that has just been shown one asks again."""
    again = _replaceable(secret)
    person_id, made = (again or _welcomed(secret)).id, passphrases.generate()
    made_at = again.password_changed_at if again else None
    hashed = _hashed(made)
    if again:
        if (person := _replaceable(secret)) is None:
            raise links.LinkUsed(because="a person signed in meanwhile")
        first_password.replace(person, made_at, hashed)
    else:
        person = _settle(secret, person_id, hashed, is_ours=True)
    form_cookie[SHOWN] = first_password.mark(person)
    answers.shows_a_secret(back_to=url_for(".welcome", secret=secret))
    return render_template("signin/welcome_done.html", person=person, password=made, again=again is not None)


@bp.post("/welcome/<secret>/again")
@security.anyone
@again.form_of("signin.people.welcome")
@limiter.limit(at_most(10, "minute"))
def welcome_again(secret: str) -> ResponseReturnValue:
    """Send a new link where the old one cannot be used; the page does not tell whether there was anybody to send to."""
    links.resend_welcome(secret)
    return redirect(url_for(".link_sent"), 303)


@bp.get("/welcome/sent")
@security.anyone
def link_sent() -> ResponseReturnValue:
    """Where to look for the new link."""
    return render_template("signin/link_sent.html")


@bp.errorhandler(links.LinkRefused)
def link_refused(refused: links.LinkRefused) -> ResponseReturnValue:
    """What is wrong with the link, and a new one for the asking."""
    secret = (request.view_args or {}).get("secret")
    if secret and isinstance(refused, links.LinkUsed) and (person := _replaceable(secret)):
        return render_template("signin/welcome_again.html", person=person, secret=secret), refused.status
    return render_template("signin/link_refused.html", refused=refused, secret=secret), refused.status


def _welcomed(secret: str) -> Administrator:
    person = people.get(links.check(secret, links.WELCOME).person_id)
    if person is None:
        raise links.LinkUnknown(because="the person was removed")
    return person


def _replaceable(secret: str) -> Administrator | None:
    return first_password.replaceable(secret, form_cookie.get(SHOWN))


def _hashed(plain: str) -> str:
    """The hash, made between two transactions."""
    database.end_read_transaction()
    return runtime.passwords().hash(plain)


def _settle(secret: str, person_id: str, hashed: str, *, is_ours: bool) -> Administrator:
    """Spend the link, unless it was spent meanwhile, and set the password."""
    links.spend(secret, links.WELCOME, person_id)
    person = people.get(person_id)
    if person is None:
        raise links.LinkUnknown(because="the person was removed meanwhile")
    password.change(person, hashed, by=person_id, is_ours=is_ours)
    session.end_all(person_id, "password_changed")
    return person
