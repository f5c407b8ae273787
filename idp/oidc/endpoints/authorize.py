"""The dispatcher of the authorization endpoint: refuse, or send the person to the next page, or respond.

Every page on the way (sign-in, registration, the school's system, authorise sharing) redirects back here and never to
another page, so their order is decided here only; `prompt=none` is refused in one function, `_send_to`, so that no step
can miss it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oidc.core.errors import (
    AccountSelectionRequiredError,
    ConsentRequiredError,
    InteractionRequiredError,
    LoginRequiredError,
)
from flask import redirect, request as browser_request, url_for
from werkzeug import Response

from idp.foundation import clock, crypto, runtime
from idp.foundation.web import security
from idp.oidc import authorization_server, claims, errors
from idp.oidc.authorization import pending_requests
from idp.oidc.authorization_server import Server
from idp.oidc.incoming import CheckedRequest, PendingRequest, Request
from idp.oidc.tokens.grants.authorization_code import Approval
from idp.partners import registry
from idp.sharing import agreement_state, authorise, sandbox
from idp.sharing.agreement_state import AgreementState
from idp.signin import factors, session
from idp.signin.session import SignedIn

REAUTHENTICATION_PROMPTS: Final = frozenset({"login", "select_account", "create"})
"""Values of `prompt` that require a sign-in. One that was made for this request is enough: no one is asked twice."""


@dataclass(frozen=True, slots=True)
class Step:
    """A page to send the person to, and the error for `prompt=none` instead."""

    page_url: Callable[[CheckedRequest, PendingRequest], str]
    """The page's URL, for a stored request; the page redirects back to that."""
    error: type[OAuth2Error]


def _sign_in(request: CheckedRequest, pending: PendingRequest) -> str:
    return url_for("signin.sign_in", next=pending_requests.url(pending), login_hint=request.login_hint)


def _choose_school(_request: CheckedRequest, pending: PendingRequest) -> str:
    return url_for("signin.schools.choose", next=pending_requests.url(pending))


def _register(_request: CheckedRequest, pending: PendingRequest) -> str:
    return url_for("onboarding.find", next=pending_requests.url(pending))


def _enrol(_request: CheckedRequest, pending: PendingRequest) -> str:
    return url_for("manage.security.second_step", next=pending_requests.url(pending))


def _tell_mis(_request: CheckedRequest, pending: PendingRequest) -> str:
    return pending_requests.url(pending, url_for("oidc.tell_mis"))


def _ask_consent(_request: CheckedRequest, pending: PendingRequest) -> str:
    return pending_requests.url(pending, url_for("oidc.ask_consent"))


def _confirm_app(_request: CheckedRequest, pending: PendingRequest) -> str:
    return pending_requests.url(pending, url_for("oidc.confirm_app"))


SIGN_IN: Final = Step(_sign_in, LoginRequiredError)
SCHOOL: Final = Step(_choose_school, AccountSelectionRequiredError)
LOCKED_SCHOOL: Final = Step(_choose_school, InteractionRequiredError)
"""The school requires a second step that the person has not taken. The page to choose a school leads on to it."""
REGISTER: Final = Step(_register, LoginRequiredError)
SIGN_IN_FULLY: Final = Step(_sign_in, errors.UnmetAuthenticationRequirements)
ENROL: Final = Step(_enrol, errors.UnmetAuthenticationRequirements)
MIS: Final = Step(_tell_mis, InteractionRequiredError)
CONSENT: Final = Step(_ask_consent, ConsentRequiredError)
APP: Final = Step(_confirm_app, InteractionRequiredError)
CONFIRMED: Final = "confirmed"
"""The parameter with which the page of `APP` sends the person back."""


def respond() -> Response:
    """The response to a browser at the authorization endpoint."""
    security.keep_opener()
    server = authorization_server.current()
    if browser_request.method == "POST" and pending_requests.is_ours(urn := browser_request.form.get("request_uri")):
        return redirect(pending_requests.url_by_urn(browser_request.form.get("client_id", ""), str(urn)), 303)
    try:
        grant = server.get_consent_grant()
    except OAuth2Error as error:
        return _error_response(server, error.request, error)
    request: CheckedRequest = grant.request.checked
    if browser_request.method == "POST":
        # A browser sends no cookies with another site's POST: store the request, and redirect to repeat it with them.
        urn = pending_requests.store(request.sent, request.client, pushed=False, shown=False)
        return redirect(pending_requests.url_by_urn(request.client.id, urn), 303)
    try:
        response = _next_response(request)
    except OAuth2Error as error:
        pending_requests.spend(request)
        return _error_response(server, grant.request, error)
    if isinstance(response, Approval):
        response = server.create_authorization_response(request=grant.request, grant=grant, grant_user=response)
    return response


def step(request: CheckedRequest) -> Step | Approval:
    """The next step for this request in this browser: a page, or the approval."""
    if _is_cancelled(request):
        raise AccessDeniedError(description="the person chose not to continue")
    signed_in = session.current()
    if signed_in is None or not _satisfies_request(signed_in, request):
        if "create" in request.prompt and not request.client.registered.is_sandbox:
            return REGISTER
        if signed_in and _is_fresh(signed_in, request):
            _refuse_wrong_person(signed_in, request)
        return SIGN_IN
    if request.acr and signed_in.acr not in request.acr:
        return _step_up(signed_in, request)
    if _prefers_second_step(signed_in, request):
        return SIGN_IN_FULLY
    if signed_in.estab_id is None:
        return SCHOOL if signed_in.locked_estab_id is None else LOCKED_SCHOOL
    return _school_step(signed_in, signed_in.estab_id, request)


def _school_step(signed_in: SignedIn, estab_id: str, request: CheckedRequest) -> Step | Approval:
    """The next step for the school with this internal id: a page, or the approval."""
    agreement = authorise.agreement_in_force(estab_id, request.client.id, requested_scopes(request))
    if agreement is None and not registry.accepts_mis(request.client.registered, signed_in.membership.estab.mis):
        return MIS  # no agreement is in force with such a system, so a school with one is never asked
    if agreement is None or ("consent" in request.prompt and not _is_later(agreement, request)):
        return CONSENT
    if _may_be_imitated(request) and not _has_interacted(signed_in, agreement, request):
        return APP
    return Approval(signed_in, agreement)


def _may_be_imitated(request: CheckedRequest) -> bool:
    """Whether another program on the person's device could have sent the request, and could redeem the code.

    That is so for an app: it has no secret, and anything on the device can receive what is sent to its own scheme or to
    a loopback address (RFC 8252 §8.6, RFC 6749 §10.2).
    """
    return request.client.registered.is_public and not request.reply_to.redirect_uri.startswith("https:")


def _has_interacted(signed_in: SignedIn, agreement: AgreementState, request: CheckedRequest) -> bool:
    """Whether a person signed in, agreed, or confirmed on the page of `APP`, for this request."""
    if _is_fresh(signed_in, request) or _is_later(agreement, request):
        return True
    sent = browser_request.args.get(CONFIRMED, "")
    return request.pending is not None and crypto.constant_time_compare(sent, confirmation(request.pending, signed_in))


def confirmation(pending: PendingRequest, signed_in: SignedIn) -> str:
    """The value of `CONFIRMED`: for one request and one session, and only the page of `APP` gives it out."""
    key = runtime.settings().secrets.tokens
    return crypto.base64url(crypto.hmac_sha256(key, "app confirmed", pending.urn, signed_in.sid))


def _step_up(signed_in: SignedIn, request: CheckedRequest) -> Step:
    """How the person reaches a class that is essential (OpenID Connect Core §5.5.1.1)."""
    if session.MULTI not in request.acr or signed_in.acr == session.MULTI:
        raise errors.UnmetAuthenticationRequirements
    return SIGN_IN_FULLY if factors.has_any(signed_in.id) else ENROL


def _prefers_second_step(signed_in: SignedIn, request: CheckedRequest) -> bool:
    """Whether the client prefers a class that the person reaches by the second step that they have.

    A voluntary class is not a reason to set one up, nor to refuse: the ID Token contains the one reached (§5.5.1.1).
    """
    preferred = next((acr for acr in request.voluntary_acr if acr in {session.SINGLE, session.MULTI}), None)
    if preferred != session.MULTI or signed_in.has_second_step or "none" in request.prompt:
        return False
    return factors.has_any(signed_in.id)


def requested_scopes(request: CheckedRequest) -> frozenset[str]:
    """The scopes that the school must have agreed to: those requested, and those of claims requested by name."""
    return request.scopes | (claims.scopes_of(request.claims) & request.client.registered.scopes)


def _next_response(request: CheckedRequest) -> Response | Approval:
    next_step = step(request)
    return next_step if isinstance(next_step, Approval) else _send_to(next_step, request)


def _send_to(next_step: Step, request: CheckedRequest) -> Response:
    """Store the request and redirect to the page, which redirects back to the stored request."""
    if "none" in request.prompt:
        detail = "the school has paused sharing; " if next_step is CONSENT and _is_paused(request) else ""
        raise next_step.error(description=f"{detail}prompt is none, and the person would have to be asked")
    return redirect(next_step.page_url(request, pending_requests.ensure_stored(request)), 303)


def _is_paused(request: CheckedRequest) -> bool:
    signed_in = session.current()
    estab_id = signed_in.estab_id if signed_in else None
    agreement = agreement_state.current(estab_id, request.client.id) if estab_id else None
    return agreement is not None and agreement.interruption == "paused"


def _error_response(server: Server, request: Request, error: OAuth2Error) -> Response:
    response: Response = server.handle_error_response(request, error)
    return response


def _is_cancelled(request: CheckedRequest) -> bool:
    """Whether the person chose Cancel or Refuse on a page; only a stored request has led to a page."""
    return request.pending is not None and "cancel" in browser_request.args


def _satisfies_request(signed_in: SignedIn, request: CheckedRequest) -> bool:
    """Whether the signed-in person is the one requested, and signed in recently enough."""
    if _is_another_person(signed_in, request) or not _may_ask_school(signed_in, request):
        return False
    if _is_fresh(signed_in, request):
        return True
    if request.prompt & REAUTHENTICATION_PROMPTS:
        return False
    return request.max_age is None or clock.now() - signed_in.auth_time <= timedelta(seconds=request.max_age)


def _is_another_person(signed_in: SignedIn, request: CheckedRequest) -> bool:
    return request.subject is not None and request.subject != claims.subject(request.client, signed_in.id)


def _is_fresh(signed_in: SignedIn, request: CheckedRequest) -> bool:
    """Whether they signed in after this request was made."""
    return request.pending is not None and signed_in.auth_time >= request.pending.since


def _refuse_wrong_person(signed_in: SignedIn, request: CheckedRequest) -> None:
    """Raise if the person, who has just signed in for this request, is not one that it can be about."""
    if not _may_ask_school(signed_in, request):
        raise AccessDeniedError(description="applications that are being tested work only with fictional schools")
    if _is_another_person(signed_in, request):
        raise LoginRequiredError(description="the person who signed in is not the one whom the request names")


def _may_ask_school(signed_in: SignedIn, request: CheckedRequest) -> bool:
    """Whether the client may ask the person's school: a person of a fictional school has no other one."""
    client = request.client.registered
    if not client.is_sandbox or not signed_in.is_fictional:
        return client.is_sandbox == signed_in.is_fictional
    return signed_in.estab_id is not None and sandbox.may_ask(client, signed_in.membership.estab)


def _is_later(agreement: AgreementState, request: CheckedRequest) -> bool:
    """Whether the agreement was given after this request was made."""
    return request.pending is not None and agreement.given_at >= request.pending.since
