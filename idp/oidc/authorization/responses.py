"""The one writer of everything that leaves for a client's redirect URI (security.md rule 4).

Every response carries `iss`, errors too: beside the other parameters (RFC 9207), or with them in one signed JWT (JARM)
where the request asks for that. The URI has been proven by `checks.redirect_uri_is_registered` before anything gets
here, and goes out as it was sent.

`fragment` and `fragment.jwt` are not supported, and not announced: a code in the fragment reaches scripts only, and
`form_post` serves those who want nothing in the address.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from flask import render_template

from idp.foundation import clock, runtime
from idp.foundation.web import security
from idp.keys import ring
from idp.oidc import errors
from idp.oidc.clients.client import OAuthClient
from idp.oidc.incoming import ReplyTo

Answer = tuple[int, str, list[tuple[str, str]]]

MODES: Final = ("query", "form_post", "jwt", "query.jwt", "form_post.jwt")
"""What `response_mode` may be; `jwt` means `query.jwt` for the code flow (JARM §2.3.4)."""
POSTED: Final = frozenset({"form_post", "form_post.jwt"})
SIGNED: Final = frozenset({"jwt", "query.jwt", "form_post.jwt"})
SIGNED_SECONDS: Final = 600
"""How long a signed response is good for: the longest that JARM §2.1 recommends. The code in it is good for less."""


def send(to: ReplyTo, params: Iterable[tuple[str, str]]) -> Answer:
    """`params` with `state` and `iss`, to the redirect URI: a 303, or a form that posts itself."""
    sent, redirect_uri = [*params], to.redirect_uri
    if to.state is not None:
        sent.append(("state", to.state))
    sent = [("response", _signed(to.client, sent))] if to.mode in SIGNED else [*sent, ("iss", _issuer())]
    if to.mode in POSTED and is_on_the_web(redirect_uri):
        security.let_forms_leave()
        page = render_template(
            "oidc/form_post.html", action=redirect_uri, fields=sent, partner=to.client.registered.client_name
        )
        return 200, page, [("Content-Type", "text/html; charset=utf-8")]
    joint = "&" if "?" in redirect_uri else "?"
    return 303, "", [("Location", f"{redirect_uri}{joint}{urlencode(sent)}")]


def send_error(to: ReplyTo, error: OAuth2Error) -> Answer:
    """An error, in the same way (RFC 6749 §4.1.2.1)."""
    return send(to, errors.body(error).items())


def is_on_the_web(redirect_uri: str) -> bool:
    """Whether a form can be posted to it; an app's own scheme takes a GET alone."""
    return redirect_uri.startswith(("https://", "http://"))


def _signed(client: OAuthClient, params: list[tuple[str, str]]) -> str:
    """The JWT that holds the response (JARM §2.1)."""
    claims = {"iss": _issuer(), "aud": client.id, "exp": clock.timestamp() + SIGNED_SECONDS, **dict(params)}
    return ring.sign(claims, alg=client.authorization_response_alg, typ="JWT")


def _issuer() -> str:
    return runtime.settings().server.issuer
