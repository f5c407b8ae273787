"""The one writer of everything that leaves for a client's redirect URI (security.md rule 4).

Every response carries `iss` (RFC 9207), errors too; by query or by form_post, as the request said. The URI has
been proven by `checks.redirect_uri_is_registered` before anything gets here, and goes out as it was sent.
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from flask import render_template

from idp.foundation import runtime
from idp.foundation.web import security
from idp.oidc import errors
from idp.oidc.incoming import Request

Answer = tuple[int, str, list[tuple[str, str]]]


def send(request: Request, redirect_uri: str, params: Iterable[tuple[str, str]]) -> Answer:
    """`params` with `state` and `iss`, to the redirect URI: a 303, or a form that posts itself."""
    sent = [*params]
    state = request.sent.get("state")
    if state is not None and "state" not in request.sent.wrong:
        sent.append(("state", state))
    sent.append(("iss", runtime.settings().server.issuer))
    if wants_form_post(request, redirect_uri):
        security.let_forms_leave()
        page = render_template(
            "oidc/form_post.html", action=redirect_uri, fields=sent, partner=request.client.registered.client_name
        )
        return 200, page, [("Content-Type", "text/html; charset=utf-8")]
    joint = "&" if "?" in redirect_uri else "?"
    return 303, "", [("Location", f"{redirect_uri}{joint}{urlencode(sent)}")]


def send_error(request: Request, redirect_uri: str, error: OAuth2Error) -> Answer:
    """An error, in the same way (RFC 6749 §4.1.2.1)."""
    return send(request, redirect_uri, errors.body(error).items())


def wants_form_post(request: Request, redirect_uri: str) -> bool:
    """Whether the answer is a POST; a repeated or unknown mode is answered in the query."""
    mode = request.sent.get("response_mode") if "response_mode" not in request.sent.wrong else None
    return mode == "form_post" and redirect_uri.startswith(("https://", "http://"))
