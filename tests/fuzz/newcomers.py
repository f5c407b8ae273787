"""The forms of registering a school, and of our own staff."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pyotp

from idp.foundation import clock, runtime
from idp.outbox import post
from idp.outbox.models import Message
from idp.signin import operators
from idp.signin.code_accounts import OPERATORS
from tests import factories
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.pages import OWN_PASSWORD, FormRequest, an_email, form, local_path
from tests.oidc.support import follow_redirects
from tests.onboarding.visitor import Page


def details(target: FuzzTarget) -> FormRequest:
    """The form with name, e-mail address and mobile number."""
    with target.transaction():
        school = factories.a_school().id
    fields = {"name": "Jo Bloggs", "email": an_email(), "mobile": "07700 900123", "declaration": "y"}
    return form(target.browser(), f"/register/details?school={school}", "sign-up", **fields)


class StartedRegistration(NamedTuple):
    """A browser, the page "Check your e-mail", and the path of the link in the mail."""

    browser: Any
    page: Any
    link_path: str


def _registering(target: FuzzTarget) -> StartedRegistration:
    """A registration whose e-mail address is not verified yet."""
    web, request = details(target)
    page = follow_redirects(web, request.send(web))
    return StartedRegistration(web, page, _link_path(target, dict(request.form)["email"]))


def _link_path(target: FuzzTarget, email: str) -> str:
    """The path of the link in the newest mail to this address."""
    with target.transaction() as session:
        mails = session.query(Message).filter_by(recipient=email, name="verify_email").order_by(Message.id).all()
        texts = [post.unseal(row).text for row in mails]
    return local_path(re.findall(r"https?://\S+/register/verify/\S+", texts[-1])[0])


def resend(target: FuzzTarget) -> FormRequest:
    """The form that sends the mail again."""
    web, page, _ = _registering(target)
    return form(web, page, "resend")


def correct(target: FuzzTarget) -> FormRequest:
    """The form that sends the mail to another address."""
    web, page, _ = _registering(target)
    return form(web, page, "correct", email=an_email())


def verify(target: FuzzTarget) -> FormRequest:
    """The form behind the link in the mail."""
    web, _, link = _registering(target)
    return form(web, link, "verify")


def not_me(target: FuzzTarget) -> FormRequest:
    """The form behind a link by which a person says that they did not ask for the mail."""
    return form(target.browser(), _registering(target).link_path, "not-me")


def another_link(target: FuzzTarget) -> FormRequest:
    """The form that asks for a new link, in place of one that was superseded."""
    web, page, link = _registering(target)
    _, request = form(web, page, "correct", email=an_email())
    request.send(web)
    return form(web, web.get(link), "new-link")


def sign_up(target: FuzzTarget) -> FormRequest:
    """The form that signs up, after the e-mail address was verified."""
    web, request = verify(target)
    return form(web, follow_redirects(web, request.send(web)), "sign-up", declaration="y")


def own_password(target: FuzzTarget) -> FormRequest:
    """The form in which a person chooses another password than the one shown."""
    web, request = sign_up(target)
    return form(web, request.send(web), "own-password", password=OWN_PASSWORD)


# Our staff


def add_school(target: FuzzTarget) -> FormRequest:
    """The form in which a signed-in person registers a further school."""
    with target.transaction():
        school, email = factories.a_school().id, an_email()
        factories.an_administrator(email=email, username=email.partition("@")[0])
    web, request = form(target.browser(), "/sign-in", "sign-in", username=email, password=factories.PASSWORD)
    request.send(web)
    return form(web, f"/register/add?school={school}", "add-school", declaration="y")


def set_up(target: FuzzTarget) -> FormRequest:
    """The first form behind an operator's link."""
    with target.transaction():
        link = local_path(operators.add("Sam", an_email())[1])
    return form(target.browser(), link, "begin")


def finish_set_up(target: FuzzTarget) -> FormRequest:
    """The second form behind an operator's link, with password and app."""
    web, request = set_up(target)
    page = request.send(web)
    seed = Page(page).text_of("seed").replace(" ", "")
    return form(web, page, "finish", password=OWN_PASSWORD, code=pyotp.TOTP(seed).at(clock.timestamp()))


def operator_sign_in(target: FuzzTarget) -> FormRequest:
    """The operators' sign-in form, with credentials that do not exist."""
    fields = {"email": an_email(), "password": OWN_PASSWORD, "code": "123456"}
    return form(target.browser(), "/operate/sign-in", "sign-in", **fields)


def an_operator(target: FuzzTarget) -> Any:
    """An operator's browser, signed in."""
    with target.transaction() as session:
        operator, _ = operators.add("Sam", an_email())
        seed = pyotp.random_base32(32)
        operator.password_hash, operator.set_up_at = runtime.passwords().hash(OWN_PASSWORD), clock.now()
        operator.totp_sealed = runtime.sealer().seal(seed.encode(), context=OPERATORS._seed_context(operator.id))
        session.flush()
        email = operator.email
    code = pyotp.TOTP(seed).at(clock.timestamp())
    fields = {"email": email, "password": OWN_PASSWORD, "code": code}
    web, request = form(target.browser(), "/operate/sign-in", "sign-in", **fields)
    assert request.send(web).status_code == 303
    return web


FORMS: dict[str, Callable[[FuzzTarget], FormRequest]] = {
    step.__name__.replace("_", " "): step
    for step in (
        details, resend, correct, verify, not_me, another_link, sign_up, own_password, add_school, set_up,
        finish_set_up, operator_sign_in,
    )
}  # fmt: skip
