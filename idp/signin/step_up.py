"""Step-up: what matters most is done by a person who has just signed in, with the second factor they have.

Views for changes of password, factors, e-mail address, mobile, people and ownership are `required` to have it. Others
sign in again first and come back to the page, filled in as it was (`foundation.web.form_drafts`).
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final, Literal

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from idp.foundation import clock
from idp.foundation.web import form_drafts
from idp.signin import factors, session
from idp.signin.session import SignedIn

MAX_AGE: Final = timedelta(minutes=5)
View = Callable[..., ResponseReturnValue]
Missing = Literal["set_up", "sign_in"]
"""A second step has to be set up, or the one that the person has was not asked for when they signed in."""


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


def required(view: View) -> View:
    """For a view below `security.person`: it is called once the person has signed in recently enough."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        signed_in = session.current()
        if signed_in is None or is_recent(signed_in):
            return view(*args, **kwargs)
        return sign_in_again()

    return guarded


def sign_in_with_second_step(return_path: str) -> ResponseReturnValue:
    """To the sign-in page, for a person who has a second step and signed in without it, and on to `return_path`."""
    flash("Please sign in again, with your second step. Then you carry on where you were.", "info")
    return _sign_in(return_path)


def sign_in_again() -> ResponseReturnValue:
    """To the sign-in page, and back to the page of this request; what was typed there is kept, except secrets."""
    signed_in = session.current()
    manner = "again" if signed_in is None or signed_in.amr else "with your password"
    message = f"To protect your account, please sign in {manner} before you change this."
    if request.method == "POST":
        form_drafts.save()
        message = f"{message} What you typed has been kept, except passwords and codes. Nothing was changed yet."
    flash(message, "info")
    return _sign_in(form_drafts.form_address())


def _sign_in(return_path: str) -> ResponseReturnValue:
    """To the sign-in page, with the person's username filled in, and on to `return_path`."""
    signed_in = session.current()
    name = signed_in.person.username if signed_in else None
    return redirect(url_for("signin.sign_in", next=return_path, login_hint=name), 303)
