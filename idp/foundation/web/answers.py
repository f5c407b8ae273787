"""Every form is answered by a redirect (303), errors included, so that a browser may go back and reload.

A page that answers a POST stands in the browser's history as that POST: going back to it, or reloading it, makes the
browser ask whether to send everything again. So where a browser navigates by POST, the page is kept and the browser
is sent to fetch it. Where it cannot be kept (no room, our records are away, it shows a secret), it is the answer
itself, as for programs.
"""

import json

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from idp.foundation import crypto, database, request_state
from idp.foundation.web import again, kept
from idp.foundation.web.again import PARAMETER

HEADERS = ("Content-Type", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Retry-After")
"""What belongs to a page besides its text: the policy has the nonce that is in it."""


def configure(app: Flask) -> None:
    """Keep answers, after all else has looked at them, and give them back, after `security` has looked at requests."""
    app.after_request_funcs.setdefault(None, []).insert(0, _kept)  # the first is called last
    app.before_request(_asked_for)


def shows_a_secret(*, back_to: str) -> None:
    """The page of this answer shows a secret, once: it is kept nowhere, and it is the answer itself.

    Its script then gives it the address `back_to` in the browser's history, which can be reloaded and gone back to.
    """
    request_state.current().secret_page_back_to = back_to


def _asked_for() -> ResponseReturnValue | None:
    """The kept answer that this request's address names; None where it names none.

    When it has had its time, the browser goes on to the page itself.
    """
    if PARAMETER not in request.environ.get("QUERY_STRING", "") or PARAMETER not in request.args:
        return None
    if request.method not in {"GET", "HEAD"}:  # the form of such a page is sent from its address
        return None
    name = _name(request.args[PARAMETER])
    browsers = dict.fromkeys((kept.known_browser(), ""))
    found = next((one for browser in browsers if (one := kept.get(name, browser=browser))), None)
    database.end_read_transaction()
    if found is None:
        return redirect(again.page(), 303)
    told = json.loads(found.content)
    if told["status"] >= 500 or "Retry-After" in dict(told["headers"]):  # to reload such a page is to try again
        for browser in browsers:
            kept.drop(name, browser=browser)
    return Response(told["page"], told["status"], told["headers"])


def _kept(response: Response) -> Response:
    """In the place of a page that answers a browser's POST: where to fetch it."""
    if (
        request.method != "POST"
        or request.headers.get("Sec-Fetch-Mode") != "navigate"
        or response.status_code in range(300, 400)
        or not (response.content_type or "").startswith("text/html")
        or request_state.current().secret_page_back_to
    ):
        return response
    name = crypto.new_secret()
    told = {
        "page": response.get_data(as_text=True), "status": response.status_code,
        "headers": [(header, response.headers[header]) for header in HEADERS if header in response.headers],
    }  # fmt: skip
    browser = kept.this_browser() if kept.keeps_cookies() else ""
    if not kept.put(_name(name), json.dumps(told).encode(), browser=browser):
        return response
    way = redirect(_with_answer(name), 303)
    for name, value in response.headers.items():
        if name in {"Set-Cookie", "Cross-Origin-Opener-Policy"}:
            way.headers.add(name, value)
    return way  # type: ignore[return-value]  # Flask's own, which werkzeug types as its parent


def _with_answer(name: str) -> str:
    address = again.page()
    return f"{address}{'&' if '?' in address else '?'}{PARAMETER}={name}"


def _name(name: str) -> str:
    return f"answer:{name}"
