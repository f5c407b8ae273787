"""Drafts: the fields of a form that was not accepted, because its sender was signed out or the page was too old.

They are stored for that browser and shown again on the form's own page once the person has signed in. Nothing is
submitted on the person's behalf: they check the form and press the button themselves. Secrets are never stored.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from flask import current_app, flash, redirect, request, session as form_cookie, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from idp.foundation import clock, request_state, runtime
from idp.foundation.web import browser_store
from idp.foundation.web.view import View

NEVER_STORED: Final = frozenset({"csrf_token", "password", "current_password", "code", "authority", "passkey", "jwks"})
"""Secrets (a test checks that every password field is among them), keys, and the declaration, made each time."""
RESPONSE_PARAMETER: Final = "_answer"
"""The query parameter that names a stored response (`post_redirect_get`). It does not identify the page."""
_COOKIE_FIELD: Final = "typed"
"""In the form cookie: until when this browser may have a draft, so that most requests need not query for one."""


Fields = MultiDict[str, str]


def form_shown_at(page: str | Callable[[], str]) -> Callable[[View], View]:
    """Declare the page that shows the form which a view processes: an endpoint, or a function returning the URL.

    Required for every view that processes a form and serves no page at its own URL; a test walks the URL map.
    """

    def marked(view: View) -> View:
        view.form_page = page  # type: ignore[attr-defined]
        return view

    return marked


def save(fields: list[tuple[str, str]] | None = None) -> bool:
    """Store `fields`, or all that this request posted, as the draft of its form; False if they could not be stored.

    The draft belongs to the person who was last signed in at this browser, if its session cookie still says who.
    """
    if fields is None:
        fields = [(name, value) for name, value in request.form.items(multi=True) if name not in NEVER_STORED]
    if not fields:
        return True
    person = runtime.ports().last_signed_in()
    owner = None if person is None else person.id
    browser = browser_store.ensure_browser_id()
    if not browser_store.put(_name(form_url()), json.dumps(fields).encode(), browser=browser, owner=owner):
        return False
    form_cookie[_COOKIE_FIELD] = int((clock.now() + browser_store.LIFETIME).timestamp())
    return True


def saved_fields() -> Fields | None:
    """The draft of this page's form, or None; queried once per request."""
    state = request_state.current()
    if not state.draft_is_loaded:
        state.draft_is_loaded = True
        state.draft = _load() if request.method == "GET" and _may_have_draft() else None
    return state.draft


def discard() -> None:
    """Delete the draft of the form that this request posts, because the form has arrived."""
    if _may_have_draft():
        browser_store.remove(_name(form_url()), browser=browser_store.browser_id())


def form_url() -> str:
    """The URL of the page that shows the form which this request posts."""
    view = current_app.view_functions[request.url_rule.endpoint] if request.url_rule else None
    form_page: Any = getattr(view, "form_page", None)
    if form_page is None:
        return "/" if view is None else request_url()
    if callable(form_page):
        return str(form_page())
    routes = current_app.url_map
    arguments = {
        name: value
        for name, value in (request.view_args or {}).items()
        if routes.is_endpoint_expecting(form_page, name)
    }
    return url_for(form_page, **arguments)


def request_url() -> str:
    """The path and query of this request, without `RESPONSE_PARAMETER`."""
    if RESPONSE_PARAMETER not in request.args:
        return request.full_path.rstrip("?")
    pairs = request.full_path.partition("?")[2].split("&")
    query = "&".join(pair for pair in pairs if pair.partition("=")[0] != RESPONSE_PARAMETER)
    return f"{request.path}?{query}" if query else request.path


def save_and_redirect() -> ResponseReturnValue | None:
    """Save a form that was posted too late, and redirect to its page, which shows it filled in; None if that is unsafe.

    It is unsafe if the form may come from another site, and if the browser sent no cookie of ours: where all cookies
    were deleted nothing says who was signed in, so the next person at that browser would be shown the draft.
    """
    is_same_origin = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if not is_same_origin or not browser_store.has_form_cookie() or not save():
        return None
    flash("This page had been open for a long time, so nothing was sent.", "info")
    return redirect(form_url(), 303)


def _may_have_draft() -> bool:
    return bool(form_cookie.get(_COOKIE_FIELD, 0) > clock.now().timestamp())


def _load() -> Fields | None:
    item = browser_store.get(_name(request_url()), browser=browser_store.browser_id())
    if item is None or item.owner not in {None, getattr(current_user, "id", None)}:
        return None  # another person has signed in at this browser
    return MultiDict((name, value) for name, value in json.loads(item.content))


def _name(page: str) -> str:
    return f"typed:{page}"
