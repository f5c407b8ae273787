"""Send authorization responses to a client's redirect URI; no other module does (security.md rule 4).

Every response carries `iss`, errors too: as a parameter (RFC 9207), or with all parameters in one signed JWT (JARM)
where the request requires that. `checks.read_redirect_uri` has made sure that the URI is a registered one.

`fragment` and `fragment.jwt` are not supported: only scripts can read a code in the fragment, and a client that wants
no parameters in the URL can use `form_post`.
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
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import ReplyTo

ResponseParts = tuple[int, str, list[tuple[str, str]]]
"""Status, body and headers, as Authlib takes them."""
MODES: Final = ("query", "form_post", "jwt", "query.jwt", "form_post.jwt")
"""What `response_mode` may be; `jwt` means `query.jwt` for the code flow (JARM §2.3.4)."""
FORM_POST_MODES: Final = frozenset({"form_post", "form_post.jwt"})
SIGNED_MODES: Final = frozenset({"jwt", "query.jwt", "form_post.jwt"})
"""Response modes that sign the response (JARM §2.3)."""
SIGNED_RESPONSE_SECONDS: Final = 600
"""How long a signed response is valid: the longest that JARM §2.1 recommends. The code in it expires earlier."""


def send(to: ReplyTo, params: Iterable[tuple[str, str]]) -> ResponseParts:
    """Send `params`, `state` and `iss` to the redirect URI: by a 303, or by a form that a script submits."""
    parameters, redirect_uri = [*params], to.redirect_uri
    if to.state is not None:
        parameters.append(("state", to.state))
    parameters = (
        [("response", _signed(to.client, parameters))] if to.mode in SIGNED_MODES else [*parameters, ("iss", _issuer())]
    )
    if to.mode in FORM_POST_MODES and is_http(redirect_uri):
        security.allow_form_redirects()
        page = render_template(
            "oidc/form_post.html", action=redirect_uri, fields=parameters, partner=to.client.registered.client_name
        )
        return 200, page, [("Content-Type", "text/html; charset=utf-8")]
    separator = "&" if "?" in redirect_uri else "?"
    return 303, "", [("Location", f"{redirect_uri}{separator}{urlencode(parameters)}")]


def send_error(to: ReplyTo, error: OAuth2Error) -> ResponseParts:
    """Send an error (RFC 6749 §4.1.2.1)."""
    return send(to, errors.body(error).items())


def is_http(redirect_uri: str) -> bool:
    """Whether the URI is http or https: a form cannot be posted to an app's own scheme."""
    return redirect_uri.startswith(("https://", "http://"))


def _signed(client: OAuthClient, params: list[tuple[str, str]]) -> str:
    """The JWT that holds the response (JARM §2.1)."""
    claims = {"iss": _issuer(), "aud": client.id, "exp": clock.timestamp() + SIGNED_RESPONSE_SECONDS, **dict(params)}
    return ring.sign(claims, alg=client.authorization_response_alg, typ="JWT")


def _issuer() -> str:
    return runtime.settings().server.issuer
