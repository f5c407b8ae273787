"""Fields of a form that could not be taken, because its sender was signed out or the page had grown old.

They are kept for that browser and shown again, filled in, on the form's own page once the person is back. Nothing
is ever sent for them: they look, and press the button themselves. Secrets are never kept.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from flask import current_app, flash, redirect, request, session as form_cookie, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from idp.foundation import clock, request_state, runtime
from idp.foundation.web import kept

NEVER_KEPT: Final = frozenset({"csrf_token", "password", "code", "authority"})
"""Secrets (a test holds that every password field of ours is among them), and what is declared anew each time."""
PARAMETER: Final = "_answer"
"""In an address: which kept answer of the page is meant (`answers`). No part of what the page is."""
_COOKIE: Final = "typed"
"""In the form cookie: until when something may be kept for this browser, so that most pages need not ask."""


View = Callable[..., ResponseReturnValue]
Fields = MultiDict[str, str]


def form_of(page: str | Callable[[], str]) -> Callable[[View], View]:
    """Say of a view that takes a form on which page that form is: an endpoint, or what makes the address.

    Every view needs it that takes a form and has no page at its own address; a test walks the URL map for that.
    """

    def marked(view: View) -> View:
        view.form_page = page  # type: ignore[attr-defined]
        return view

    return marked


def keep(instead: list[tuple[str, str]] | None = None) -> bool:
    """Keep what was typed into the form that this request is, for its page; whether nothing of it is lost.

    It belongs to the person who was signed in here last, where this browser still shows who that was. `instead` is
    what to keep in the place of all that was typed.
    """
    typed = [(name, value) for name, value in request.form.items(multi=True) if name not in NEVER_KEPT]
    typed = typed if instead is None else instead
    if not typed:
        return True
    last = runtime.ports().last_signed_in()
    owner = None if last is None else last.id
    if not kept.put(_name(page()), json.dumps(typed).encode(), browser=kept.this_browser(), owner=owner):
        return False
    form_cookie[_COOKIE] = int((clock.now() + kept.LIFETIME).timestamp())
    return True


def fields() -> Fields | None:
    """What was typed into this page's form before, to be shown in it; None where there is nothing."""
    state = request_state.current()
    if not state.looked_for_typed:
        state.looked_for_typed = True
        state.typed_again = _typed() if request.method == "GET" and _may_be_kept() else None
    return state.typed_again


def taken() -> None:
    """The form of this request has arrived: what was kept for its page has had its use."""
    if _may_be_kept():
        kept.drop(_name(page()), browser=kept.known_browser())


def page() -> str:
    """The address of the page that has the form this request sends."""
    view = current_app.view_functions[request.url_rule.endpoint] if request.url_rule else None
    where: Any = getattr(view, "form_page", None)
    if where is None:
        return "/" if view is None else address()
    if callable(where):
        return str(where())
    given, routes = request.view_args or {}, current_app.url_map
    return url_for(where, **{name: given[name] for name in given if routes.is_endpoint_expecting(where, name)})


def address() -> str:
    """The path and query of this request, less the name of a kept answer."""
    if PARAMETER not in request.args:
        return request.full_path.rstrip("?")
    rest = "&".join(pair for pair in request.full_path.partition("?")[2].split("&") if not _names_answer(pair))
    return f"{request.path}?{rest}" if rest else request.path


def filled_in() -> ResponseReturnValue | None:
    """The way back to the page of a form that came too late, where it will be filled in as it was sent.

    None for a form that is not known to be ours (another site's fills nothing in for anybody), and for a browser
    without our cookie: it may keep none, and what it would be given back could be another person's. Where all cookies
    were deleted nothing says who was signed in, so the next person at that browser would be shown it.
    """
    ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if not ours or not kept.keeps_cookies() or not keep():
        return None
    flash("This page had been open for a long time, so nothing was sent.", "info")
    return redirect(page(), 303)


def _names_answer(pair: str) -> bool:
    return pair.partition("=")[0] == PARAMETER


def _may_be_kept() -> bool:
    return bool(form_cookie.get(_COOKIE, 0) > clock.now().timestamp())


def _typed() -> Fields | None:
    found = kept.get(_name(address()), browser=kept.known_browser())
    if found is None or found.owner not in {None, getattr(current_user, "id", None)}:
        return None  # another person has signed in at this browser
    return MultiDict((name, value) for name, value in json.loads(found.content))


def _name(page: str) -> str:
    return f"typed:{page}"
