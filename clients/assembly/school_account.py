"""OpenID Connect with the provider: begin and finish a sign-in, refresh the tokens, sign out.

Authlib implements the protocol. The checks that it leaves to its caller are here: that the discovery document has our
provider's issuer, that a response comes from that provider (RFC 9207), that the ID Token is for us, and that later
responses are about the same person. Every failure is a `SchoolAccountError` with a text for the person.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from authlib.integrations.base_client.errors import MismatchingStateError
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth, OAuthError
from flask import Flask, Response, current_app, request, session
from joserfc.errors import JoseError
from requests import RequestException

from clients.assembly.areas import SCOPE
from clients.assembly.settings import Settings
from clients.assembly.store import SignIn, Store

ALGORITHMS = ["ES256", "RS256"]
"""The accepted signing algorithms of ID Tokens, whatever the discovery document says."""

TIMEOUT_SECONDS = 10
"""For a response of the provider."""

LEEWAY_SECONDS = 30
"""How far our clock and the provider's may differ."""


class SchoolAccountError(Exception):
    """The sign-in cannot continue. `title` and `message` are shown; the arguments are for our log."""

    status = 400
    title = "That did not work"
    message = "Please sign in again."


class StartAgain(SchoolAccountError):
    """The response does not belong to a recent request of this browser."""

    title = "Please start again"
    message = (
        "This sign-in was begun in another browser, has been used already, or has been left open too long. "
        "Nothing was shared with us."
    )


class Declined(SchoolAccountError):
    """The school or the person declined."""

    status = 200
    title = "Your school chose not to share"
    message = (
        "Or you turned back on the way. Either is fine: nothing was shared with us, and you can change your mind "
        "whenever you like."
    )


class Untrusted(SchoolAccountError):
    """The response does not come from our provider, or is about another person."""

    title = "We could not trust that answer"
    message = "It does not come from the school sign-in service as it should, so we have not signed anybody in."


class Refused(SchoolAccountError):
    """The provider refused our request: an error of ours, not of the school."""

    status = 502
    title = "School sign-in would not accept our request"
    message = "This is our fault, not yours, and we have made a note of it. Please try again later."


class Unreachable(SchoolAccountError):
    """The provider does not respond, or not as it should."""

    status = 503
    title = "School sign-in is not answering"
    message = "The school sign-in service cannot be reached at the moment. Please try again in a few minutes."


class Paused(SchoolAccountError):
    """The school has stopped sharing for a while; our refresh token works again when it resumes."""

    status = 200
    title = "Your school has paused sharing with us"
    message = "We receive nothing until your school resumes it. You stay signed in."


class Ended(SchoolAccountError):
    """The refresh token is no longer valid: the school stopped sharing, or the agreement has run out."""

    status = 200
    title = "Your school no longer shares with us"
    message = "Sharing was stopped or has run out, so we can no longer ask for your school's data."


def configure(app: Flask, settings: Settings, store: Store) -> None:
    """Register Authlib's client. The provider is not contacted until a person signs in."""
    oauth = OAuth(app, cache=store)
    oauth.register(
        "school",
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": SCOPE,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": "client_secret_basic",
            "default_timeout": TIMEOUT_SECONDS,
        },
    )
    app.extensions["assembly"] = settings


def issuer() -> str:
    """The issuer of our provider."""
    return _settings().issuer


def begin(login_hint: str | None = None) -> Response:
    """Send the browser to the provider with state, nonce and PKCE challenge (OpenID Connect Core §3.1.2.1)."""
    hint = {"login_hint": login_hint} if login_hint else {}
    with _provider() as provider:
        return cast("Response", provider.authorize_redirect(f"{_settings().url}/callback", **hint))


def finish() -> SignIn:
    """Process the provider's redirect to our callback; returns who signed in, and the tokens."""
    state = request.args.get("state", "")
    with _provider() as provider:
        if not provider.framework.get_state_data(session, state):
            raise StartAgain("unknown state")
        if request.args.get("iss") != _settings().issuer:
            raise Untrusted("the answer's iss is not our provider's (RFC 9207 §2.4)")
        if error := request.args.get("error"):
            provider.framework.clear_state_data(session, state)
            raise _error_of(error)
        if not request.args.get("code"):
            raise Untrusted("neither a code nor an error")
        token = provider.authorize_access_token(claims_options=_expected(), leeway=LEEWAY_SECONDS)
        if "userinfo" not in token:
            raise Untrusted("no ID Token")
        claims = dict(token["userinfo"])
        return _sign_in_of(token, claims, _about(provider, token, claims))


def refresh(before: SignIn) -> SignIn:
    """Request new tokens, which are for what the school shares now. Raises `Ended` and `Paused`."""
    with _provider() as provider:
        try:
            # An empty scope leaves it out: all that was granted, which may be less than we asked for (RFC 6749 §6).
            token = provider.fetch_access_token(
                grant_type="refresh_token", refresh_token=before.refresh_token, scope=""
            )
        except OAuthError as error:
            reason = {"invalid_grant": Ended, "access_denied": Paused}.get(str(error.error))
            raise reason(str(error)) if reason else error from error
        token.setdefault("refresh_token", before.refresh_token)
        claims = before.claims
        if "id_token" in token:
            claims = dict(provider.parse_id_token(token, nonce=None, claims_options=_expected(), leeway=LEEWAY_SECONDS))
        else:
            token["id_token"] = before.id_token
        if claims["sub"] != before.claims["sub"]:
            raise Untrusted("the new ID Token is about another person (OpenID Connect Core §12.2)")
        # When the person has left the school, its data may still be shared; then there is no userinfo.
        has_person = "openid" in str(token.get("scope", "openid")).split()
        return _sign_in_of(token, claims, _about(provider, token, claims) if has_person else before.about)


def end(sign_in: SignIn) -> Response:
    """Send the browser to sign out at the provider, and come back (RP-Initiated Logout §2)."""
    with _provider() as provider:
        response = provider.logout_redirect(
            post_logout_redirect_uri=f"{_settings().url}/signed-out",
            id_token_hint=sign_in.id_token,
            client_id=_settings().client_id,
        )
    response.status_code = 303
    return cast("Response", response)


def returned_from_sign_out() -> bool:
    """Whether this request is the provider's redirect after our `end`; true once."""
    try:
        _client().validate_logout_response()
    except OAuthError:
        return False
    return True


@contextmanager
def _provider() -> Iterator[FlaskOAuth2App]:
    """Authlib's client with the provider's metadata; its errors become a `SchoolAccountError`."""
    try:
        client = _client()
        metadata = client.load_server_metadata()
        if metadata.get("issuer") != _settings().issuer:
            client.server_metadata.clear()
            raise Unreachable(f"discovery names {metadata.get('issuer')!r} as issuer (Discovery §4.3)")
        metadata["id_token_signing_alg_values_supported"] = ALGORITHMS
        yield client
    except MismatchingStateError as error:
        raise StartAgain(str(error)) from error
    except OAuthError as error:
        raise _error_of(error.error) from error
    except JoseError as error:
        raise Untrusted(f"ID Token: {error}") from error
    except (RequestException, ValueError, KeyError, RuntimeError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error


def _error_of(error: str | None) -> SchoolAccountError:
    """The error to show for an error code of the provider (RFC 6749 §4.1.2.1 and §5.2)."""
    if error == "access_denied":
        return Declined()
    if error in {"server_error", "temporarily_unavailable"}:
        return Unreachable(error)
    return StartAgain(error) if error == "invalid_grant" else Refused(error)


def _expected() -> dict[str, Any]:
    """The issuer and audience to check; Authlib does not check the audience by default."""
    return {
        "iss": {"essential": True, "value": _settings().issuer},
        "aud": {"essential": True, "value": _settings().client_id},
    }


def _about(provider: FlaskOAuth2App, token: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """The userinfo, which must be about the person of the ID Token (OpenID Connect Core §5.3.2)."""
    about = dict(provider.userinfo(token=token))
    if about.get("sub") != claims["sub"]:
        raise Untrusted("userinfo is about another person")
    return about


def _sign_in_of(token: dict[str, Any], claims: dict[str, Any], about: dict[str, Any]) -> SignIn:
    now = time.time()
    return SignIn(
        claims=claims,
        about=about,
        scope=frozenset(str(token.get("scope", SCOPE)).split()),
        access_until=now + float(token.get("expires_in", 0)),
        checked_at=now,
        id_token=token["id_token"],
        access_token=token["access_token"],
        refresh_token=token.get("refresh_token"),
        withheld=frozenset(str(token.get("withheld_scope", "")).split()),
    )


def _client() -> FlaskOAuth2App:
    return current_app.extensions["authlib.integrations.flask_client"].create_client("school")


def _settings() -> Settings:
    return cast("Settings", current_app.extensions["assembly"])
