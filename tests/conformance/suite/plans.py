"""The suite's configurations: the settings of each plan, and how its browser operates our pages.

The names of the controls are those of protocol.md §3.9, which `tests/conformance/test_promises.py` holds. Where a
module wants a screenshot of a page, its browser is overridden; the screenshot is taken when the words are there.
"""

from typing import Any, Final

from idp.foundation import runtime
from tests.conformance.suite.prepare import Credentials, Prepared

Task = dict[str, Any]
Visit = dict[str, Any]

TIMEOUT_SECONDS: Final = 10
"""Seconds that the suite's browser waits for words to appear."""
SCREENSHOT: Final = "update-image-placeholder"

STATIC: Final = "conf-basic-1", "conf-basic-2"
BACKCHANNEL: Final = "conf-backchannel-1", "conf-backchannel-2"
FAPI: Final = "conf-fapi-1", "conf-fapi-2"
PLAIN_OAUTH_CLIENTS: Final = "conf-plain-1", "conf-plain-2"
SIGNING: Final = "conf-signing-1", "conf-signing-2"
SIGNING_PLAIN: Final = "conf-signing-plain-1", "conf-signing-plain-2"
CLIENT_CREDENTIALS_CLIENTS: Final = "conf-ccg-1", "conf-ccg-2"

SIGN_IN_AGAIN: Final = ("oidcc-prompt-login", "oidcc-max-age-1")
LOGOUT_ERRORS: Final = {
    "bad-post-logout-redirect-uri": "post_logout_redirect_uri",
    "query-added-to-post-logout-redirect-uri": "post_logout_redirect_uri",
    "modified-id-token-hint": "id_token_hint",
    "bad-id-token-hint": "id_token_hint",
}
"""Modules of RP-Initiated Logout that end on an error page, and the parameter it names."""
LOGOUT_CONFIRMED: Final = ("no-params", "only-state")
"""Modules that end signed out, after the person has confirmed it; `no-id-token-hint` wants a screenshot of the
question.
"""
PERSONAL: Final = "openid profile email phone offline_access"
SCHOOLS: Final = "school offline_access"
"""Scopes of the plans with an ID Token, and of those without."""
FAPI_MODULES: Final = "fapi2-security-profile-final-"


def all_configurations(prepared: Prepared) -> dict[str, dict[str, Any]]:
    """The configurations by the name of their files."""
    static = _pair(prepared, STATIC) | {"client_secret_post": _with_secret(prepared.clients["conf-post-1"])}
    registering = {"client_name": "Conformance suite", "initial_access_token": prepared.initial_token}
    registered = {"client": registering, "client2": registering}
    api = f"{prepared.api}/access"
    userinfo = runtime.url("/oauth/userinfo")
    return {
        "static.json": _common(prepared, "static clients") | static | {"override": _oidc_overrides(prepared)},
        "registered.json": _common(prepared, "dynamic registration")
        | registered
        | {"override": _oidc_overrides(prepared)},
        "backchannel.json": _common(prepared, "back-channel logout") | _pair(prepared, BACKCHANNEL),
        "fapi2-openid.json": _personal_plan(prepared, "FAPI 2.0", _fapi(prepared, FAPI, PERSONAL, userinfo)),
        "fapi2-plain.json": _school_plan(
            prepared, "FAPI 2.0, OAuth", _fapi(prepared, PLAIN_OAUTH_CLIENTS, SCHOOLS, api)
        ),
        "fapi2-signing-openid.json": _personal_plan(
            prepared, "FAPI 2.0 Message Signing", _fapi(prepared, SIGNING, PERSONAL, userinfo)
        ),
        "fapi2-signing-plain.json": _school_plan(
            prepared, "FAPI 2.0 Message Signing, OAuth", _fapi(prepared, SIGNING_PLAIN, SCHOOLS, api)
        ),
        "fapi2-client-credentials.json": _common(prepared, "FAPI 2.0, client credentials")
        | _fapi(prepared, CLIENT_CREDENTIALS_CLIENTS, "schools.list", api),
    }


def _common(prepared: Prepared, title: str, *, school_data: bool = False) -> dict[str, Any]:
    return {
        "alias": prepared.suite.rpartition("/")[2],
        "description": f"{runtime.settings().service.name}, {title}",
        "server": {"discoveryUrl": runtime.url("/.well-known/openid-configuration")},
        "browser": [
            _authorize(prepared, school_data=school_data),
            _log_out(_task("Back at the suite", f"{prepared.suite}/post_logout_redirect*")),
        ],
    }


def _with_secret(client: Credentials) -> dict[str, Any]:
    return {"client_id": client.client_id, "client_secret": client.secret}


def _pair(prepared: Prepared, names: tuple[str, str]) -> dict[str, Any]:
    """Two clients with secrets."""
    first, second = (_with_secret(prepared.clients[name]) for name in names)
    return {"client": first, "client2": second}


def _fapi(prepared: Prepared, names: tuple[str, str], scope: str, resource: str) -> dict[str, Any]:
    """Two clients with keys, and what they call with their tokens."""
    first, second = ({"client_id": name, "scope": scope, "jwks": prepared.clients[name].keys} for name in names)
    return {"client": first, "client2": second, "resource": {"resourceUrl": resource}}


def _personal_plan(prepared: Prepared, title: str, clients: dict[str, Any]) -> dict[str, Any]:
    """A FAPI plan whose clients request the person's claims only."""
    return _common(prepared, title) | clients | {"override": _fapi_overrides(prepared)}


def _school_plan(prepared: Prepared, title: str, clients: dict[str, Any]) -> dict[str, Any]:
    """A FAPI plan whose clients request a school's data, for which the person confirms their authority."""
    common = _common(prepared, title, school_data=True)
    return common | clients | {"override": _fapi_overrides(prepared, school_data=True)}


# Visits: a URL that the browser is sent to, and its tasks on the pages that follow


def _authorize(prepared: Prepared, *before_signing_in: list[Any], school_data: bool = False) -> Visit:
    """Sign in and agree where a page asks for that, and return to the suite. School data needs a ticked box as well."""
    commands = [
        *before_signing_in,
        ["text", "id", "username", prepared.username],
        ["text", "id", "password", prepared.password],
        ["click", "id", "sign-in"],
    ]
    authority = [["click", "id", "authority"]] if school_data else []
    return {
        "match": runtime.url("/oauth/authorize*"),
        "tasks": [
            _task("Sign in", runtime.url("/sign-in*"), *commands, optional=True),
            _task("Agree", runtime.url("/oauth/consent*"), *authority, ["click", "id", "allow"], optional=True),
            _arrive(prepared),
        ],
    }


def _log_out(*tasks: Task) -> Visit:
    return {"match": runtime.url("/oauth/logout*"), "tasks": list(tasks)}


def _shown_at(path: str, *commands: list[Any]) -> Visit:
    """A visit of the authorization endpoint, and the tasks on its page."""
    return {"match": runtime.url("/oauth/authorize*"), "tasks": [_task("Our page", runtime.url(path), *commands)]}


def _arrive(prepared: Prepared) -> Task:
    return _task("Arrive", f"{prepared.suite}/callback*", ["wait", "id", "submission_complete", TIMEOUT_SECONDS])


# Overrides: the modules that end on a page of ours


def _oidc_overrides(prepared: Prepared) -> dict[str, Any]:
    sign_in_again = _authorize(
        prepared, ["wait", "id", "sign-in", TIMEOUT_SECONDS, "Sign in", f"{SCREENSHOT}-optional"]
    )
    overrides = {name: [sign_in_again] for name in SIGN_IN_AGAIN}
    refused = _shown_at("/oauth/authorize*", _wait_for_screenshot("error-parameter", "redirect_uri"))
    overrides["oidcc-ensure-registered-redirect-uri"] = [refused]
    signed_out_page = _task("Signed out", runtime.url("/signed-out*"), _wait_for_screenshot("signed-out", ".*"))
    confirmed = _log_out(
        _task("Confirm", runtime.url("/oauth/logout*"), ["click", "id", "confirm-logout"]), signed_out_page
    )
    confirmation = _log_out(_task("Asked", runtime.url("/oauth/logout*"), _wait_for_screenshot("confirm-logout", ".*")))
    logout_visits: dict[str, Visit] = {
        "no-post-logout-redirect-uri": _log_out(signed_out_page),
        "no-id-token-hint": confirmation,
        **dict.fromkeys(LOGOUT_CONFIRMED, confirmed),
        **{name: _log_out(_error_page(parameter)) for name, parameter in LOGOUT_ERRORS.items()},
    }
    overrides |= {
        f"oidcc-rp-initiated-logout-{name}": [_authorize(prepared), visit] for name, visit in logout_visits.items()
    }
    return {name: {"browser": visits} for name, visits in overrides.items()}


def _fapi_overrides(prepared: Prepared, *, school_data: bool = False) -> dict[str, Any]:
    once, authorize = {"match-limit": 1}, _authorize(prepared, school_data=school_data)
    stale = _shown_at("/oauth/authorize*", _wait_for_screenshot("error-code", "request_expired"))
    shown_and_left = _shown_at("/sign-in*", ["wait", "id", "sign-in", TIMEOUT_SECONDS, "Sign in"])
    cancelled = _shown_at("/sign-in*", ["click", "id", "cancel"])
    cancelled["tasks"].append(_arrive(prepared))
    visits = {
        "user-rejects-authentication": [cancelled],
        "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": [shown_and_left | once, authorize],
        "par-attempt-reuse-request_uri": [authorize | once, stale],
        "par-attempt-to-use-expired-request_uri": [stale],
        "par-attempt-to-use-request_uri-for-different-client": [stale],
    }
    return {f"{FAPI_MODULES}{name}": {"browser": visit} for name, visit in visits.items()}


def _error_page(parameter: str) -> Task:
    return _task("Error page", runtime.url("/oauth/logout*"), _wait_for_screenshot("error-parameter", parameter))


def _wait_for_screenshot(control: str, words: str) -> list[Any]:
    """Wait until the control has these words, and take the screenshot."""
    return ["wait", "id", control, TIMEOUT_SECONDS, words, SCREENSHOT]


def _task(name: str, match: str, *commands: list[Any], optional: bool = False) -> Task:
    task: Task = {"task": name, "match": match}
    return task | ({"optional": True} if optional else {}) | ({"commands": list(commands)} if commands else {})
