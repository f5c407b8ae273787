"""Pages for a person's own account: confirming the mobile, and the first password by a link."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import credentials, links, people
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal
from idp.foundation.web import admission, again, answers, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import mobile, password, session
from idp.signin.forms import MobileCode, OwnPassword

bp = Blueprint("people", __name__)


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
    """The first password of somebody who was added: their own, or one we make. Looking at the page spends nothing."""
    person, form = _welcomed(secret), OwnPassword()
    if "generate" in request.form:
        made = credentials.generate()
        name, username, school = person.name, person.username, person.estab.name
        _settle(secret, person, made)
        answers.shows_a_secret(back_to=url_for("signin.sign_in"))
        return render_template("signin/welcome_done.html", name=name, username=username, school=school, password=made)
    if form.validate_on_submit():
        if (reason := password.why_not(form.password.data, person)) is None:
            _settle(secret, person, form.password.data)
            flash("Your password is set. You can sign in with it now.", "success")
            return redirect(url_for("signin.sign_in"), 303)
        form.password.errors = [reason]
    return render_template("signin/welcome.html", form=form, person=person), 422 if form.errors else 200


@bp.post("/welcome/<secret>/again")
@security.anyone
@again.form_of("signin.people.welcome")
@limiter.limit(at_most(10, "minute"))
def welcome_again(secret: str) -> ResponseReturnValue:
    """Send a new link where the old one cannot be used; the page does not tell whether there was anybody to send to."""
    links.welcome_again(secret)
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
    return render_template("signin/link_refused.html", refused=refused, secret=secret), refused.status


def _welcomed(secret: str) -> Administrator:
    person = people.get(links.look(secret, links.WELCOME).person_id)
    if person is None:
        raise links.LinkUnknown(because="the person was removed")
    return person


def _settle(secret: str, person: Administrator, plain: str) -> None:
    """Hash between two transactions; the second spends the link, which somebody may have done meanwhile."""
    person_id = person.id
    database.let_go()
    hashed = runtime.passwords().hash(plain)
    links.spend(secret, links.WELCOME, person_id)
    password.change(_person(person_id), hashed, by=person_id)
    session.end_all(person_id, "password_changed")


def _person(person_id: str) -> Administrator:
    person = people.get(person_id)
    if person is None:
        raise links.LinkUnknown(because="the person was removed meanwhile")
    return person
