"""Device authorization (RFC 8628): a device gets a pair of codes, and shows one that a person types on our page.

The page always asks for a decision, whatever the school agreed to before and however the code got there: following a
link approves nothing.
"""

from typing import Final

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from flask import (
    Request as FlaskRequest,
    Response as FlaskResponse,
    json,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug import Response
from wtforms import StringField

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation import clock, runtime, scopes
from idp.foundation.errors import TooManyRequests
from idp.foundation.web import form_drafts
from idp.foundation.web.forms import Form
from idp.oidc import authorization_server, errors
from idp.oidc.authorization import checks, pending_requests
from idp.oidc.authorization_server import Server
from idp.oidc.clients import oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.endpoints import consent
from idp.oidc.incoming import Request
from idp.oidc.tokens import device_codes
from idp.oidc.tokens.device_codes import DeviceRequest
from idp.partners import registry
from idp.partners.metadata import DEVICE_CODE
from idp.sharing import authorise
from idp.sharing.agreement_state import AgreementState
from idp.sharing.models import Authorisation
from idp.signin import guesses, session, step_up
from idp.signin.session import SignedIn

PATH: Final = "/device"
CODE_NOT_RECOGNISED: Final = (
    "We do not recognise this code. Check that every letter is right. If it is, the code has expired or has been used: "
    "start again on the device or program, and type the new code that it shows."
)
TOO_MANY_CODES: Final = (
    "You have tried too many codes. Please wait a few minutes. Then start again on the device or program, and type the "
    "new code that it shows."
)
ASK_TO_CONNECT: Final = "Please ask one of them to connect the device or program, with a new code from it."


class Code(Form):
    """The code that the device shows."""

    user_code = StringField("Code")


def authorize(flask_request: FlaskRequest) -> FlaskResponse:
    """The device authorization endpoint (RFC 8628 §3.1)."""
    return authorization_server.respond_to_client(flask_request, _issue_codes)


def _issue_codes(_server: Server, request: Request) -> FlaskResponse:
    client, sent = request.client, request.sent
    if not client.check_grant_type(DEVICE_CODE):
        raise UnauthorizedClientError(description="grant_type: this client is not registered for device_code")
    checks.refuse_authorization_details(sent)
    requested, resource = checks.read_scopes(client, sent), checks.read_resource(client, sent)
    pair = device_codes.issue(client, requested, resource)
    user_code, verification_uri = device_codes.format_user_code(pair.user), runtime.url(PATH)
    body = {
        "device_code": pair.device, "user_code": user_code, "verification_uri": verification_uri,
        "verification_uri_complete": f"{verification_uri}?user_code={user_code}",
        "expires_in": device_codes.LIFETIME_SECONDS, "interval": device_codes.INTERVAL_SECONDS,
    }  # fmt: skip
    return FlaskResponse(json.dumps(body), mimetype="application/json")


def page() -> Response:
    """The page to type the code, see which client requests what, and decide; every step has the same URL."""
    code = device_codes.parse_user_code(request.args.get("user_code", ""))
    signed_in = session.current()
    if signed_in is None or signed_in.estab_id is None:
        typed = device_codes.parse_user_code(request.form.get("user_code", ""))
        if request.method == "POST" and "user_code" not in request.form:
            form_drafts.save()  # a decision; a typed code returns in the URL
        sign_in_endpoint = "signin.sign_in" if signed_in is None else "signin.schools.choose"
        return redirect(url_for(sign_in_endpoint, next=_page_url(typed or code)), 303)
    if "user_code" in request.form:
        return _enter_code(request.form["user_code"], signed_in)
    device_request = device_codes.entered_request(code, pending_requests.this_browser()) if code else None
    client = oauth_client.find(device_request.client_id) if device_request else None
    if code is None or device_request is None:
        return _ask_code(code)
    if client is None:
        raise errors.ServiceSwitchedOff(device_request.client_id)
    if device_request.approved is not None:
        return make_response(
            render_template("oidc/device_done.html", client=client.registered, approved=device_request.approved)
        )
    if not device_request.is_open:
        return _ask_code(None, CODE_NOT_RECOGNISED)
    return _question(device_request, client, signed_in, code)


def _enter_code(text: str, signed_in: SignedIn) -> Response:
    """Look up the code that was typed. Each plausible code counts as a guess, right or wrong.

    The setting `throttle.account_guesses` says how many each person has.
    """
    code = device_codes.parse_user_code(text)
    if code is None:
        return _ask_code(text, _code_problem(text))
    try:
        guesses.count(guesses.key("device", signed_in.id))
    except TooManyRequests as error:
        response = _ask_code(code, TOO_MANY_CODES)  # not raised: that would roll back the count
        response.status_code, response.headers["Retry-After"] = error.status, str(error.retry_after)
        return response
    if not device_codes.enter(code, pending_requests.this_browser()):
        return _ask_code(code, CODE_NOT_RECOGNISED)
    return redirect(_page_url(code), 303)


def _question(device_request: DeviceRequest, client: OAuthClient, signed_in: SignedIn, code: str) -> Response:
    """The page that says which client requests what, and the decision.

    What the school has not agreed to yet is put to it as in any authorization request. Each device needs a decision of
    its own, even if an agreement is in force.
    """
    member, registered, form = signed_in.membership, client.registered, consent.Decision()
    if (response := _response_without_connecting(device_request, signed_in, code)) is not None:
        return response
    if not member.may(Action.APPROVE_DEVICES):
        return consent.viewer_page(
            registered, member, Action.APPROVE_DEVICES, back=_page_url(code), decline_label="Do not connect",
            advice=ASK_TO_CONNECT,
        )  # fmt: skip
    if not registry.accepts_mis(registered, member.estab.mis):
        return consent.which_mis(registered, member) or redirect(_page_url(code), 303)
    agreed: Authorisation | AgreementState | None = authorise.agreement_in_force(
        member.estab_id, registered.id, device_request.scopes
    )
    is_locked = agreed is not None and consent.lacks_second_step(device_request.scopes & agreed.scopes)
    if "allow" in request.form and not is_locked:
        authority.check_and_lock(member, Action.APPROVE_DEVICES)
        agreed = agreed or consent.agree(registered, device_request.scopes, member, form)
        if agreed is not None:
            device_codes.approve(device_request, signed_in, agreed)
            return redirect(_page_url(code), 303)
    back, formatted_code = _page_url(code), device_codes.format_user_code(code)
    origin, is_endpoint = _describe_request(device_request), _is_endpoint_request(device_request.scopes)
    if agreed is None:
        return consent.question_page(
            registered, device_request.scopes, member, form, back=back, code=formatted_code,
            request_origin=origin, until=None,
            template="oidc/device_server.html" if is_endpoint else "oidc/device_consent.html",
        )  # fmt: skip
    page = render_template(
        "oidc/device_server.html" if is_endpoint else "oidc/device_confirm.html", client=registered, member=member,
        school=member.estab.school, back=back, code=formatted_code, request_origin=origin, form=form, question=None,
        until=agreed.until, missing_step=step_up.missing_step(signed_in) if is_locked else None,
    )  # fmt: skip
    return make_response(page)


def _is_endpoint_request(requested: frozenset[str]) -> bool:
    """Whether a school's endpoint sent the request: it sends data, and receives none about the school or a person."""
    endpoint_scopes = scopes.filter_by_kind("endpoint", requested)
    return bool(endpoint_scopes) and requested - endpoint_scopes <= {"offline_access"}


def _describe_request(device_request: DeviceRequest) -> str:
    """How long ago and from where the device asked: "2 minutes ago from 203.0.113.5"."""
    minutes = int((clock.now() - device_request.created_at).total_seconds() // 60)
    age = f"{minutes} minute{'' if minutes == 1 else 's'} ago" if minutes else "less than a minute ago"
    return f"{age} from {device_request.network}" if device_request.network else age


def _response_without_connecting(device_request: DeviceRequest, signed_in: SignedIn, code: str) -> Response | None:
    """The response to the buttons that do not connect the device: refuse it, or take a second step first."""
    if "deny" in request.form:
        device_codes.deny(device_request, signed_in)
        return redirect(_page_url(code), 303)
    return consent.redirect_to_second_step(_page_url(code)) if consent.SECOND_STEP in request.form else None


def _ask_code(code: str | None, problem: str | None = None) -> Response:
    form = Code(
        formdata=None,
        user_code=device_codes.format_user_code(code) if code and device_codes.parse_user_code(code) else code,
    )
    if problem:
        form.user_code.errors = [problem]
    return make_response(render_template("oidc/device.html", form=form), 422 if problem else 200)


def _code_problem(text: str) -> str:
    """Why what was typed cannot be a code."""
    letters = device_codes.letters_of(text)
    if not letters:
        return "Type the code that the device or program shows."
    if any(char.isdigit() for char in letters):
        return "The code has letters only, no numbers. Check each letter against the device or program."
    if set(letters) - set(device_codes.LETTERS):
        return "The code never contains A, E, I, O, U or Y. Check each letter against the device or program."
    return f"The code has eight letters, and you typed {len(letters)}. Check it against the device or program."


def _page_url(code: str | None) -> str:
    return url_for("oidc.device", user_code=device_codes.format_user_code(code)) if code else url_for("oidc.device")
