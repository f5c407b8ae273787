"""Post/Redirect/Get: the response to every form is a redirect (303), errors included.

A page that responds to a POST is in the browser's history as that POST: going back to it, or reloading it, makes the
browser ask whether to submit the form again. So if a browser navigates by POST, the page is stored and the browser is
redirected to fetch it. If it cannot be stored (a limit is reached, the database is unreachable, it shows a secret), the
page itself is the response, as it is for programs.
"""

import json

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from idp.foundation import crypto, database, request_state
from idp.foundation.web import browser_store, form_drafts
from idp.foundation.web.form_drafts import RESPONSE_PARAMETER

STORED_HEADERS = ("Content-Type", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Retry-After")
"""The headers stored with a page: its policy has the nonce of its scripts."""


def configure(app: Flask) -> None:
    """Store responses after all other hooks have run, and send them after `security` has checked the request."""
    app.after_request_funcs.setdefault(None, []).insert(0, _store_and_redirect)  # the first is called last
    app.before_request(_stored_response)


def mark_secret_page(*, back_to: str) -> None:
    """Never store the page of this response, because it shows a secret once; it is the response to the POST itself.

    Its script replaces its URL in the browser's history by `back_to`, which can be reloaded and gone back to.
    """
    request_state.current().secret_page_back_to = back_to


def _stored_response() -> ResponseReturnValue | None:
    """The stored response that the request's URL names, or None if it names none.

    If it has expired, the browser is redirected to the page itself.
    """
    if RESPONSE_PARAMETER not in request.environ.get("QUERY_STRING", "") or RESPONSE_PARAMETER not in request.args:
        return None
    if request.method not in {"GET", "HEAD"}:  # the form of such a page is sent from its URL
        return None
    name = _name(request.args[RESPONSE_PARAMETER])
    browsers = dict.fromkeys((browser_store.browser_id(), ""))
    items = (browser_store.get(name, browser=browser) for browser in browsers)
    item = next((item for item in items if item is not None), None)
    database.end_read_transaction()
    if item is None:
        return redirect(form_drafts.form_url(), 303)
    stored = json.loads(item.content)
    if stored["status"] >= 500 or "Retry-After" in dict(stored["headers"]):  # reloading such a page means trying again
        for browser in browsers:
            browser_store.remove(name, browser=browser)
    return Response(stored["page"], stored["status"], stored["headers"])


def _store_and_redirect(response: Response) -> Response:
    """Replace a page that responds to a browser's POST by a redirect to where it can be fetched."""
    if (
        not (response.content_type or "").startswith("text/html")
        or request.method != "POST"
        or request.headers.get("Sec-Fetch-Mode") != "navigate"
        or response.status_code in range(300, 400)
        or request_state.current().secret_page_back_to
    ):
        return response
    name = crypto.new_secret()
    stored = {
        "page": response.get_data(as_text=True), "status": response.status_code,
        "headers": [(header, response.headers[header]) for header in STORED_HEADERS if header in response.headers],
    }  # fmt: skip
    browser = browser_store.ensure_browser_id() if browser_store.has_form_cookie() else ""
    if not browser_store.put(_name(name), json.dumps(stored).encode(), browser=browser):
        return response
    redirection = redirect(_response_url(name), 303)
    for header, value in response.headers.items():
        if header in {"Set-Cookie", "Cross-Origin-Opener-Policy"}:
            redirection.headers.add(header, value)
    return redirection  # type: ignore[return-value]  # Flask's own, which werkzeug types as its parent


def _response_url(name: str) -> str:
    """The page's URL with the name of the stored response."""
    url = form_drafts.form_url()
    return f"{url}{'&' if '?' in url else '?'}{RESPONSE_PARAMETER}={name}"


def _name(name: str) -> str:
    return f"answer:{name}"
