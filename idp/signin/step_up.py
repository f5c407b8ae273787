"""Step-up: sensitive changes need a recent sign-in, with a second factor if the person has one.

The views that change password, factors, e-mail address, mobile, people and ownership are decorated with
`recent_sign_in_required`. A person without a recent sign-in signs in again and returns to the page as it was
(`foundation.web.form_drafts`).
"""

from datetime import timedelta
from functools import wraps
from typing import Any, Final, Literal

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from idp.foundation import clock
from idp.foundation.web import form_drafts
from idp.foundation.web.view import View
from idp.signin import factors, session
from idp.signin.session import SignedIn

MAX_AGE: Final = timedelta(minutes=5)
Missing = Literal["set_up", "sign_in"]
"""Whether a second step has to be set up, or the person signed in without the one that they have."""


def is_recent(signed_in: SignedIn) -> bool:
    """Whether the person signed in within the last five minutes, with a second factor if they have one.

    An account of another provider is not enough (its `amr` is empty): the provider may not have asked for anything.
    """
    if clock.now() - signed_in.auth_time > MAX_AGE or not signed_in.amr:
        return False
    return signed_in.has_second_step or not factors.has_any(signed_in.id)


def missing_step(signed_in: SignedIn) -> Missing | None:
    """What the person has to do before they count as signed in with a second step; None if they are."""
    if signed_in.has_second_step:
        return None
    return "sign_in" if factors.has_any(signed_in.id) else "set_up"


def recent_sign_in_required(view: View) -> View:
    """Decorate a view, below `security.person`, which is called only if the person signed in recently enough."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        signed_in = session.current()
        if signed_in is None or is_recent(signed_in):
            return view(*args, **kwargs)
        return sign_in_again()

    return guarded


def sign_in_with_second_step(return_path: str) -> ResponseReturnValue:
    """Redirect a person who signed in without their second step to the sign-in page, and then to `return_path`."""
    flash("Please sign in again, with your second step. Then you continue where you were.", "info")
    return _sign_in(return_path)


def sign_in_again() -> ResponseReturnValue:
    """Redirect to the sign-in page, and then back to this page; what was typed there is kept, except secrets."""
    signed_in = session.current()
    manner = "again" if signed_in is None or signed_in.amr else "with your password"
    message = f"To protect your account, please sign in {manner} before you change this."
    if request.method == "POST":
        form_drafts.save()
        message = f"{message} What you typed has been kept, except passwords and codes. Nothing was changed yet."
    flash(message, "info")
    return _sign_in(form_drafts.form_url())


def _sign_in(return_path: str) -> ResponseReturnValue:
    """Redirect to the sign-in page, with the person's username filled in, and then to `return_path`."""
    signed_in = session.current()
    name = signed_in.person.username if signed_in else None
    return redirect(url_for("signin.sign_in", next=return_path, login_hint=name), 303)
