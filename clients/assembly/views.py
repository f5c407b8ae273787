"""Assembly's pages. The cookie has only a handle; the person and their tokens are in the store."""

from dataclasses import replace
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from clients.assembly import areas, school_account
from clients.assembly.store import SignIn, Store
from clients.assembly.web import csrf

bp = Blueprint("pages", __name__)


def configure(app: Flask, store: Store) -> None:
    """Register the pages, their store, and a template filter for British time."""
    app.extensions["assembly.store"] = store
    app.add_template_filter(_clock, "clock")
    csrf.exempt(initiate)  # the provider may post to it without our token (OpenID Connect Core §4)
    app.register_blueprint(bp)


@bp.get("/")
def home() -> ResponseReturnValue:
    """What Assembly is; for a person who is signed in, their name and what their school shares."""
    if not (signed_in := _current()):
        return render_template("home.html", areas=areas.AREAS)
    verified = signed_in.about.get("estab_status") == "verified"
    return render_template(
        "signed_in.html",
        signed_in=signed_in,
        person=signed_in.about,
        school=signed_in.about.get("organisation") or {},
        verified=verified,
        area_states=list(areas.area_states(signed_in.scope, signed_in.withheld, paused=signed_in.paused)),
    )


@bp.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Redirect to the provider."""
    return school_account.begin()


@bp.route("/initiate", methods=["GET", "POST"])
def initiate() -> ResponseReturnValue:
    """Third-party initiated login (OpenID Connect Core §4), from our provider only; it always ends at the home page."""
    if request.values.get("iss", "").rstrip("/") != school_account.issuer():
        raise school_account.Untrusted("login initiated by another issuer than our provider")
    return school_account.begin(login_hint=request.values.get("login_hint"))


@bp.get("/callback")
def callback() -> ResponseReturnValue:
    """The redirect from the provider; each sign-in gets a new handle."""
    signed_in = school_account.finish()
    if old := session.pop("handle", None):
        _store().forget(old)
    session["handle"] = _store().add(signed_in)
    return redirect(url_for("pages.home"), 303)


@bp.post("/check-again")
def check_again() -> ResponseReturnValue:
    """Refresh the tokens, and show what has changed."""
    before = _current()
    if not before or not before.refresh_token:
        return redirect(url_for("pages.home"), 303)
    try:
        now = school_account.refresh(before)
    except school_account.Ended:
        _forget()
        raise
    except school_account.Paused as paused:
        _store().replace(session["handle"], replace(before, paused=True))
        flash(f"{paused.title}. {paused.message}")
        return redirect(url_for("pages.home"), 303)
    _store().replace(session["handle"], now)
    flash(_describe_changes(before, now))
    return redirect(url_for("pages.home"), 303)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Sign out here, then at the provider."""
    before = _current()
    _forget()
    return school_account.end(before) if before else redirect(url_for("pages.signed_out"), 303)


@bp.get("/signed-out")
def signed_out() -> ResponseReturnValue:
    """Say that the person is signed out: here, or also at the provider if it redirected the browser here."""
    return render_template("signed_out.html", everywhere=school_account.returned_from_sign_out())


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Always 200."""
    return {"status": "ok"}


def _describe_changes(before: SignIn, now: SignIn) -> str:
    """A sentence about what a refresh changed."""
    if before.paused:
        return "Your school shares with us again."
    titles = [area.title for area in areas.AREAS if area.scope in now.scope - before.scope]
    if titles:
        return f"New: your school now shares {', '.join(titles)} with us."
    gone = [area.title for area in areas.AREAS if area.scope in before.scope - now.scope]
    return f"Your school no longer shares {', '.join(gone)} with us." if gone else "Nothing has changed."


def _current() -> SignIn | None:
    """The sign-in of this browser, queried once per request."""
    if "signed_in" not in g:
        g.signed_in = _store().find(session.get("handle"))
    return cast("SignIn | None", g.signed_in)


def _forget() -> None:
    if handle := session.pop("handle", None):
        _store().forget(handle)


def _store() -> Store:
    return cast("Store", current_app.extensions["assembly.store"])


def _clock(seconds: float) -> str:
    """Seconds since 1970 as British date and time: "2 March 2026 at 09:30"."""
    moment = datetime.fromtimestamp(seconds, ZoneInfo("Europe/London"))
    return f"{moment.day} {moment:%B %Y at %H:%M}"
