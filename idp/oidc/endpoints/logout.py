"""Signing out at a client's request (OpenID Connect RP-Initiated Logout 1.0).

Signs out at once if the hint names this browser's session; otherwise the person is asked. The browser is redirected
only with a valid hint, and only to a URI registered for its client. Where a client names itself without a hint,
the page that says "signed out" has a link to that URI: any request can name a client, so the person decides.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from flask import make_response, redirect, render_template, request as browser_request, url_for
from werkzeug import Response

from idp.foundation.web import middleware, security
from idp.keys import ring
from idp.oidc import claims, incoming
from idp.oidc.clients import failures, oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Parameters
from idp.partners import registry
from idp.signin import session, session_clients


class InvalidLogoutRequest(Exception):
    """The request cannot be accepted: a page says so, and nothing is redirected.

    `parameter` is the wrong one, and `detail` what is wrong with it. `is_off` is set if the service is switched off.
    """

    def __init__(self, parameter: str, detail: str, *, is_off: bool = False) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter, self.detail, self.is_off = parameter, detail, is_off


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A valid request to sign out: by which client, of which session, and where to go afterwards."""

    client: OAuthClient | None
    sid: str | None
    to: str | None
    """The registered URI with `state`, to be redirected to; None without a valid hint."""
    link: str | None
    """The same, to be offered as a link; None with a valid hint."""
    sent: Parameters


def respond() -> Response:
    """Sign out at once, or ask first, or say what is wrong with the client's request."""
    security.keep_opener()
    if browser_request.method == "HEAD":
        return Response(status=200)
    pairs = [*incoming.pairs(browser_request.query_string), *browser_request.form.items(multi=True)]
    sent = incoming.parameters(pairs, incoming.LOGOUT)
    if browser_request.method == "POST" and not sent.wrong:
        # A browser sends no cookies with another site's POST, but it does when it follows this redirect.
        return redirect(_page_url(sent), 303)
    try:
        logout_request = _read(sent)
    except InvalidLogoutRequest as error:
        return _bad_logout_page(error)
    signed_in = session.current()
    if signed_in is None:
        return _redirect_after_logout(logout_request)
    if _is_this_session(signed_in.sid, logout_request):
        return _sign_out(logout_request)
    if logout_request.to is not None:
        security.allow_form_redirects()
    partner = _client_name(logout_request.client)
    return make_response(render_template("oidc/logout.html", logout_request=logout_request, partner=partner))


def confirm() -> Response:
    """The person's decision. The client's parameters are sent along with it, and are checked again."""
    security.keep_opener()
    if "stay" in browser_request.form:
        return redirect("/", 303)
    sent = {name: value for name, value in browser_request.form.items(multi=True) if name in FORWARDED_PARAMETERS}
    try:
        logout_request = _read(incoming.parameters(sent.items(), incoming.LOGOUT))
    except InvalidLogoutRequest as error:
        return _bad_logout_page(error)
    return _sign_out(logout_request)


def question_url() -> str:
    """The URL of the page that asked the question, with the client's request, which was sent along."""
    return _page_url(incoming.parameters(browser_request.form.items(multi=True)))


FORWARDED_PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")
"""The parameters of a client's request that the confirmation page sends along."""


def _read(sent: Parameters) -> LogoutRequest:
    """Check the request (RP-Initiated Logout 1.0 §2 and §3)."""
    if fault := sent.fault():
        raise InvalidLogoutRequest(*fault)
    client_id = sent.get("client_id")
    failures.set_client(client_id)
    hint = _read_hint(sent.get("id_token_hint"))
    if hint and client_id not in {None, hint["aud"]}:
        raise InvalidLogoutRequest("client_id", "is not the client that id_token_hint was issued to")
    client = oauth_client.find(hint["aud"] if hint else client_id)
    failures.set_client(client.id if client else client_id)
    if client is None and (client_id_or_audience := hint["aud"] if hint else client_id):
        parameter, is_off = "client_id" if client_id else "id_token_hint", registry.is_disabled(client_id_or_audience)
        detail = "its client, or that client's partner, is disabled" if is_off else "its client is not registered"
        raise InvalidLogoutRequest(parameter, detail, is_off=is_off)
    to = sent.get("post_logout_redirect_uri")
    if (
        to is not None
        and client is not None
        and not registry.matches_any(to, client.registered.post_logout_redirect_uris)
    ):
        raise InvalidLogoutRequest("post_logout_redirect_uri", "is not registered for this client")
    if to is None or client is None:
        return LogoutRequest(client, hint.get("sid") if hint else None, None, None, sent)
    state = sent.get("state")
    uri = to if state is None else _with_state(to, state)
    if hint:
        return LogoutRequest(client, hint.get("sid"), uri, None, sent)
    return LogoutRequest(client, None, None, uri, sent)


def _is_this_session(sid: str, logout_request: LogoutRequest) -> bool:
    """Whether the hint names this browser's session, by a `sid` that the client has for it.

    The session has another `sid` since the person signed in again in this browser; the client may hold one from before.
    """
    client = logout_request.client
    if client is None or logout_request.sid is None:
        return False
    return any(
        logout_request.sid == claims.client_sid(client, known_sid)
        for known_sid in (sid, *session_clients.sids(sid, client.id))
    )


def _read_hint(hint: str | None) -> dict[str, str] | None:
    if hint is None:
        return None
    try:
        return claims.verify_id_token_hint(hint)
    except ring.TokenNotVerified:
        raise InvalidLogoutRequest("id_token_hint", "is not an ID Token of ours") from None


def _with_state(uri: str, state: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'state': state})}"


def _sign_out(logout_request: LogoutRequest) -> Response:
    """End this browser's session, and redirect."""
    session.end_here()
    return (
        redirect(_page_url(logout_request.sent), 303) if logout_request.link else _redirect_after_logout(logout_request)
    )


def _redirect_after_logout(logout_request: LogoutRequest) -> Response:
    """Redirect to the client's URI, if the hint is valid; else to our page "signed out", which may link to it."""
    if logout_request.link:
        back, partner = logout_request.link, _client_name(logout_request.client)
        return make_response(render_template("signin/signed_out.html", back=back, partner=partner))
    return redirect(logout_request.to or url_for("signin.signed_out"), 303)


def _page_url(sent: Parameters) -> str:
    """The same request as a link; how long it may be is bounded in `incoming`."""
    parameters = {name: value for name, value in sent.values.items() if name in FORWARDED_PARAMETERS}
    return f"{url_for('oidc.logout')}?{urlencode(parameters)}"


def _bad_logout_page(error: InvalidLogoutRequest) -> Response:
    failures.note("invalid_request", error.parameter, error.detail)
    page = render_template("oidc/bad_logout.html", error=error, request_id=middleware.request_id())
    return make_response(page, 400)


def _client_name(client: OAuthClient | None) -> str | None:
    return client.registered.client_name if client else None
