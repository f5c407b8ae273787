"""Send the browser to a provider and process its response: sign in, or link the account to who is signed in."""

from urllib.parse import urlencode

import structlog
from flask import Blueprint, Response, current_app, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.federation import authentication_requests, linking, providers
from idp.federation.authentication_requests import Pending
from idp.federation.errors import (
    AccountTaken,
    AlreadyLinked,
    ProviderUnavailable,
    RequestStale,
    ResponseRefused,
    SchoolAccountNeeded,
    SignInRefused,
)
from idp.federation.id_token import Identity
from idp.federation.providers import Provider
from idp.foundation import database
from idp.foundation.errors import TooManyRequests
from idp.foundation.ports import SignInButton
from idp.foundation.web import browser_store, form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.foundation.web.transactions import transaction
from idp.signin import devices, guesses, password, return_paths, second_step, session, views as signin

SECURITY_PAGE = "/manage/security"
MAX_STATE_LENGTH = 200
"""In characters; ours have 43."""

log = structlog.get_logger(__name__)
bp = Blueprint("federation", __name__)


def buttons(return_path: str) -> list[SignInButton]:
    """The buttons of the sign-in page, whose forms are posted to these paths."""
    query = "" if return_path == "/" else f"?{urlencode({'next': return_path})}"
    return [
        SignInButton(f"Sign in with {provider.kind.title}", url_for("federation.begin", name=provider.name) + query)
        for provider in providers.enabled()
    ]


def _sign_in_page() -> str:
    return url_for("signin.sign_in", next=security.local_path(request.args.get("next")))


@bp.post("/sign-in/with/<name>")
@security.anyone
@form_drafts.form_shown_at(_sign_in_page)
@limiter.limit(at_most(60, "minute"))
def begin(name: str) -> ResponseReturnValue:
    """Send the browser to the provider, to sign in."""
    provider, return_path = providers.find(name), security.local_path(request.args.get("next"))
    _keep_opener(return_path)
    prompt = provider.kind.prompt_when_signed_in if session.current() else None
    browser = browser_store.ensure_browser_id()
    url = authentication_requests.begin(provider, browser=browser, return_path=return_path, prompt=prompt)
    return redirect(url, 303)


@bp.get("/sign-in/with/<name>/return")
@security.anyone
@limiter.limit(at_most(120, "minute"))
def come_back(name: str) -> ResponseReturnValue:
    """Process the provider's response: sign in, or link the account."""
    provider = providers.find(name)
    pending = _spend(provider)
    if pending is None and _is_approval(provider):
        return _approved(provider)
    if pending is None:
        return redirect(_path_after_going_back(provider), 303)
    _keep_opener(pending.return_path)
    identity = _identity(provider, pending)
    if identity is None:
        return _cancelled(provider, pending)
    if pending.sid is not None:
        return _link(identity, pending)
    return _sign_in(identity, pending.return_path)


def _spend(provider: Provider) -> Pending | None:
    """The request that this responds to. It is used up in a transaction of its own, which no later failure undoes."""
    state = _state()
    if state is None:
        return None
    database.end_read_transaction()
    with transaction(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
        return authentication_requests.spend(provider, state, browser=browser_store.browser_id())


def _path_after_going_back(provider: Provider) -> str:
    """Where a person continues whose browser has sent this response before: they went Back, or pressed a button twice.

    Raises `RequestStale` for any other response that no request waits for, and where no one is signed in.
    """
    state, browser = _state(), browser_store.browser_id()
    path = None if state is None else authentication_requests.return_path_of_spent(provider, state, browser=browser)
    is_complete = session.current() is not None
    if path is None or not (is_complete or second_step.waiting()):
        steps = (("Sign in", url_for("signin.sign_in")),)
        raise RequestStale(reason=f"{provider.name}: no request of this browser has this state", next_steps=steps)
    _keep_opener(path)
    return signin.after_first_step(path, is_complete=is_complete)


def _is_approval(provider: Provider) -> bool:
    """Whether Microsoft sends an administrator here who has approved us for their organisation.

    They began at Microsoft, so no request of ours waits for it; it proves nothing, and changes nothing.
    """
    is_given = (
        request.args.get("admin_consent", "").casefold() == "true" and not {"code", "error"} & request.args.keys()
    )
    return provider.name == "microsoft" and is_given


def _approved(provider: Provider) -> ResponseReturnValue:
    kind = provider.kind
    flash(
        f"If you have approved us for your school at {kind.title}, its staff can use their {kind.account} here now. "
        "Each of them links it once, on the Security page.",
        "info",
    )
    return redirect(url_for("signin.sign_in"), 303)


def _state() -> str | None:
    """The `state` of the response; None if it cannot be one of ours."""
    state = _single("state")
    return state if state is not None and len(state) <= MAX_STATE_LENGTH else None


def _identity(provider: Provider, pending: Pending) -> Identity | None:
    """The account that the response proves; None if the person cancelled. Refusals lead back to where they began."""
    try:
        iss = _single("iss")
        authentication_requests.check_issuer(provider, iss)
        if _single("error") == "access_denied":
            return None
        return authentication_requests.complete(provider, pending, code=_code(provider), iss=iss)
    except (ProviderUnavailable, ResponseRefused, SchoolAccountNeeded, SignInRefused) as error:
        error.next_steps = _way_back(pending)
        raise


def _code(provider: Provider) -> str:
    code, error = _single("code"), _single("error")
    if code is None or error is not None:
        raise SignInRefused(reason=f"{provider.name}: {(error or 'no code')[:60]}")
    return code


def _single(name: str) -> str | None:
    """A parameter of the response; raises `ResponseRefused` where it is repeated (RFC 6749 §3.1)."""
    values = request.args.getlist(name)
    if len(values) > 1:
        raise ResponseRefused(reason=f"{name} is repeated in the response")
    return values[0] if values else None


def _way_back(pending: Pending) -> tuple[tuple[str, str], ...]:
    if pending.sid is not None:
        return (("Back to Security", SECURITY_PAGE),)
    return (("Back to signing in", url_for("signin.sign_in", next=pending.return_path)),)


def _cancelled(provider: Provider, pending: Pending) -> ResponseReturnValue:
    log.info("provider", name=provider.name, reason="access_denied")
    flash(f"You did not continue with your {provider.kind.account}. Nothing was changed.", "info")
    return redirect(_way_back(pending)[0][1], 303)


def _link(identity: Identity, pending: Pending) -> ResponseReturnValue:
    """Link the account to the person who asked for it, if they are still signed in in the same session."""
    signed_in = session.current()
    if signed_in is None or signed_in.sid != pending.sid:
        raise RequestStale(reason="the session that began to link has ended", next_steps=_way_back(pending))
    account = identity.provider.kind.account
    try:
        is_new = linking.link(signed_in.person, identity)
    except (AccountTaken, AlreadyLinked) as error:
        error.next_steps = _way_back(pending)
        raise
    flash(f"Your {account} is {'now linked' if is_new else 'linked already'}. You can sign in with it.", "success")
    return redirect(SECURITY_PAGE, 303)


def _sign_in(identity: Identity, return_path: str) -> ResponseReturnValue:
    """Sign in the person whose account it is, as far as a password would; an unknown account is shown a page."""
    person = linking.find_person(identity)
    if person is None:
        return _not_linked(identity.provider, return_path)
    try:
        guesses.refuse_locked(devices.guess_counter(person.id, devices.device_id()))
        password.check_may_sign_in(person)
    except (password.AccountNotOpen, TooManyRequests) as error:
        return signin.refusal_page(error, return_path)
    linking.record_use(identity, person)
    counter = guesses.key("linked account", person.id)
    is_complete = second_step.sign_in(
        person.id, name_counter=counter, amr=session.OUTSIDE_ACCOUNT, provider=identity.provider.kind.account
    )
    return redirect(signin.after_first_step(return_path, is_complete=is_complete), 303)


def _not_linked(provider: Provider, return_path: str) -> Response:
    log.info("provider", name=provider.name, reason="the account is not linked")
    page = render_template("federation/not_linked.html", account=provider.kind.account, back=return_path)
    return make_response(page, 403)


def _keep_opener(return_path: str) -> None:
    """On the way to a partner, do not cut the window off from the one that opened it (`security.keep_opener`)."""
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
