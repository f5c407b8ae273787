"""The forms of second steps: at sign-in, and on the Security page."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyotp
from sqlalchemy import update

from idp.foundation import clock
from idp.signin import passkeys, recovery_codes, session as sessions
from idp.signin.models import BrowserSession
from tests import factories
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.pages import FormRequest, form
from tests.onboarding.visitor import Page
from tests.signin.apps import an_app
from tests.signin.authenticator import a_passkey


class SignedInOwner(NamedTuple):
    """A browser of their own, and their id."""

    browser: Any
    id: str


class HalfSignedInOwner(NamedTuple):
    """A browser in which the right password was typed, and a recovery code of that person, who has an app."""

    browser: Any
    recovery_code: str


def _signed_in(target: FuzzTarget, *, factor: str | None = None) -> SignedInOwner:
    """A signed-in owner; with a `factor`, they have signed in with it."""
    with target.transaction():
        person = factories.an_administrator()
        username, person_id = person.username, person.id
    web, request = form(target.browser(), "/sign-in", "sign-in", username=username, password=factories.PASSWORD)
    assert request.send(web).status_code == 303
    if factor is not None:
        with target.transaction() as database:
            an_app(person_id) if factor == "app" else a_passkey(person_id, target.settings.server.issuer)
            signed_in = update(BrowserSession).where(BrowserSession.person_id == person_id)
            database.execute(signed_in.values(acr=sessions.MULTI, amr=sessions.PASSWORD_AND_CODE))
    return SignedInOwner(web, person_id)


def _half_signed_in(target: FuzzTarget) -> HalfSignedInOwner:
    """An owner who is asked for a second step."""
    with target.transaction() as database:
        person = factories.an_administrator(mobile_confirmed_at=clock.now())
        an_app(person.id)
        username, code = person.username, recovery_codes.make(person)[0]
        database.flush()
    web, request = form(target.browser(), "/sign-in", "sign-in", username=username, password=factories.PASSWORD)
    assert request.send(web).location.startswith("/sign-in/second-step")
    return HalfSignedInOwner(web, code)


def second_step(target: FuzzTarget) -> FormRequest:
    """The form for a code of the app; the code is a wrong one."""
    return form(_half_signed_in(target).browser, "/sign-in/second-step", "sign-in", code="123456")


def recovery_code(target: FuzzTarget) -> FormRequest:
    """The form for a recovery code in place of the app's code."""
    web, code = _half_signed_in(target)
    return form(web, "/sign-in/recovery-code", "sign-in", code=code)


def lost_factor(target: FuzzTarget) -> FormRequest:
    """The form that reports a lost app, for which a code is texted."""
    return form(_half_signed_in(target).browser, "/sign-in/lost-factor", "send-code")


def set_up_app(target: FuzzTarget) -> FormRequest:
    """The form that sets up an authenticator app."""
    web, _ = _signed_in(target)
    page = web.get("/manage/security/app")
    seed = Page(page).text_of("seed").replace(" ", "")
    return form(web, page, "finish", code=pyotp.TOTP(seed).at(clock.timestamp()))


def remove_app(target: FuzzTarget) -> FormRequest:
    """Remove an authenticator app."""
    return form(_signed_in(target, factor="app").browser, "/manage/security/app/remove", "remove")


def make_recovery_codes(target: FuzzTarget) -> FormRequest:
    """Make a new set of recovery codes."""
    return form(_signed_in(target, factor="app").browser, "/manage/security/recovery-codes", "make")


def rename_passkey(target: FuzzTarget) -> FormRequest:
    """Give a passkey another name."""
    web, path = _passkey(target)
    return form(web, f"{path}/rename", "save", name="The office's computer")


def remove_passkey(target: FuzzTarget) -> FormRequest:
    """Remove a passkey."""
    web, path = _passkey(target)
    return form(web, f"{path}/remove", "remove")


class StoredPasskey(NamedTuple):
    """A browser that signed in with a passkey, and the path of the passkey's pages."""

    browser: Any
    path: str


def _passkey(target: FuzzTarget) -> StoredPasskey:
    web, person_id = _signed_in(target, factor="passkey")
    with target.transaction():
        return StoredPasskey(web, f"/manage/security/passkeys/{passkeys.list_for_person(person_id)[0].id}")


def require_of_everyone(target: FuzzTarget) -> FormRequest:
    """Require a second step of everyone at the school."""
    return form(_signed_in(target, factor="app").browser, "/manage/security/everyone", "require")


FORMS: dict[str, Callable[[FuzzTarget], FormRequest]] = {
    step.__name__.replace("_", " "): step
    for step in (
        second_step, recovery_code, lost_factor, set_up_app, remove_app, make_recovery_codes, rename_passkey,
        remove_passkey, require_of_everyone,
    )
}  # fmt: skip
