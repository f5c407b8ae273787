"""The forms of registering a school, and of our own staff."""

import re
from collections.abc import Callable
from typing import Any

import pyotp

from idp.foundation import clock, runtime
from idp.outbox import post
from idp.outbox.models import Message
from idp.signin import operators
from idp.signin.code_accounts import OPERATORS
from tests import factories
from tests.fuzz.conftest import Ground
from tests.fuzz.pages import OWN, Opened, an_email, form, local
from tests.oidc.support import follow
from tests.onboarding.visitor import Page


def details(ground: Ground) -> Opened:
    """Name, address and number."""
    with ground.work():
        school = factories.a_school().id
    fields = {"name": "Jo Bloggs", "email": an_email(), "mobile": "07700 900123", "declaration": "y"}
    return form(ground.browser(), f"/register/details?school={school}", "sign-up", **fields)


def _registering(ground: Ground) -> tuple[Any, Any, str]:
    """A browser, the page that asks to check the mail, and the path of the mail's link."""
    web, sent = details(ground)
    page = follow(web, sent.by(web))
    return web, page, _mailed(ground, dict(sent.form)["email"])


def _mailed(ground: Ground, email: str) -> str:
    with ground.work() as session:
        newest = session.query(Message).filter_by(recipient=email, name="verify_email").order_by(Message.id).all()
        texts = [post.unseal(row).text for row in newest]
    return local(re.findall(r"https?://\S+/register/verify/\S+", texts[-1])[0])


def resend(ground: Ground) -> Opened:
    """The mail once more."""
    web, page, _ = _registering(ground)
    return form(web, page, "resend")


def correct(ground: Ground) -> Opened:
    """Or to another address."""
    web, page, _ = _registering(ground)
    return form(web, page, "correct", email=an_email())


def verify(ground: Ground) -> Opened:
    """The link in the mail."""
    web, _, link = _registering(ground)
    return form(web, link, "verify")


def not_me(ground: Ground) -> Opened:
    """The link in a mail that somebody else caused."""
    return form(ground.browser(), _registering(ground)[2], "not-me")


def another_link(ground: Ground) -> Opened:
    """A link that does not work any more."""
    web, page, link = _registering(ground)
    _, sent = form(web, page, "correct", email=an_email())
    sent.by(web)
    return form(web, web.get(link), "new-link")


def sign_up(ground: Ground) -> Opened:
    """The form again, the address verified."""
    web, sent = verify(ground)
    return form(web, follow(web, sent.by(web)), "sign-up", declaration="y")


def own_password(ground: Ground) -> Opened:
    """A password of one's own in place of the one shown."""
    web, sent = sign_up(ground)
    return form(web, sent.by(web), "own-password", password=OWN)


# Our staff


def add_school(ground: Ground) -> Opened:
    """A further school for a person who is signed in."""
    with ground.work():
        school, email = factories.a_school().id, an_email()
        factories.an_administrator(email=email, username=email.partition("@")[0])
    web, sent = form(ground.browser(), "/sign-in", "sign-in", username=email, password=factories.PASSWORD)
    sent.by(web)
    return form(web, f"/register/add?school={school}", "add-school", declaration="y")


def set_up(ground: Ground) -> Opened:
    """The first button of an operator's link."""
    with ground.work():
        link = local(operators.add("Sam", an_email())[1])
    return form(ground.browser(), link, "begin")


def finish_set_up(ground: Ground) -> Opened:
    """Password and app."""
    web, sent = set_up(ground)
    page = sent.by(web)
    seed = Page(page).value("seed").replace(" ", "")
    return form(web, page, "finish", password=OWN, code=pyotp.TOTP(seed).at(clock.timestamp()))


def operator_sign_in(ground: Ground) -> Opened:
    """With what nobody has."""
    fields = {"email": an_email(), "password": OWN, "code": "123456"}
    return form(ground.browser(), "/operate/sign-in", "sign-in", **fields)


def an_operator(ground: Ground) -> Any:
    """An operator's browser, signed in."""
    with ground.work() as session:
        operator, _ = operators.add("Sam", an_email())
        seed = pyotp.random_base32(32)
        operator.password_hash, operator.set_up_at = runtime.passwords().hash(OWN), clock.now()
        operator.totp_sealed = runtime.sealer().seal(seed.encode(), where=OPERATORS._seed_context(operator.id))
        session.flush()
        email = operator.email
    code = pyotp.TOTP(seed).at(clock.timestamp())
    fields = {"email": email, "password": OWN, "code": code}
    web, sent = form(ground.browser(), "/operate/sign-in", "sign-in", **fields)
    assert sent.by(web).status_code == 303
    return web


FORMS: dict[str, Callable[[Ground], Opened]] = {
    step.__name__.replace("_", " "): step
    for step in (
        details, resend, correct, verify, not_me, another_link, sign_up, own_password, add_school, set_up,
        finish_set_up, operator_sign_in,
    )
}  # fmt: skip
