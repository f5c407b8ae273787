"""The suite's own configurations: what it is told for each plan, and how its browser works our pages.

The names of the controls are those of protocol.md §3.9, which `tests/conformance/test_promises.py` holds. A page
that a module wants to see is shown by overriding that module's browser; its picture is taken when the words are there.
"""

from typing import Any, Final

from idp.conformance.prepare import Credentials, Prepared
from idp.foundation import runtime

Task = dict[str, Any]
Visit = dict[str, Any]

WAIT: Final = 10
"""Seconds that the suite's browser waits for words to appear."""
SCREENSHOT: Final = "update-image-placeholder"

STATIC: Final = "conf-basic-1", "conf-basic-2"
FAPI: Final = "conf-fapi-1", "conf-fapi-2"
OWN: Final = "conf-ccg-1", "conf-ccg-2"
API: Final = "sample-api"
API_SECRET: Final = "sample-api.secret"  # noqa: S105  a file's name
"""What the sample API proves itself by, in a file of its own."""

SIGN_IN_AGAIN: Final = ("oidcc-prompt-login", "oidcc-max-age-1")
LOGOUT_FAULTS: Final = {
    "bad-post-logout-redirect-uri": "post_logout_redirect_uri",
    "query-added-to-post-logout-redirect-uri": "post_logout_redirect_uri",
    "modified-id-token-hint": "id_token_hint",
    "bad-id-token-hint": "id_token_hint",
}
"""Modules of RP-Initiated Logout that end on an error page, and the parameter it names."""
LOGOUT_ASKS: Final = ("no-id-token-hint", "no-params", "only-state")
FAPI_MODULES: Final = "fapi2-security-profile-final-"


def everything(known: Prepared) -> dict[str, dict[str, Any]]:
    """The configurations by the name of their files."""
    first, second = (_with_secret(known.clients[each]) for each in STATIC)
    static = {"client": first, "client2": second, "client_secret_post": _with_secret(known.clients["conf-post-1"])}
    registering = {"client_name": "Conformance suite", "initial_access_token": known.initial_token}
    registered = {"client": registering, "client2": registering}
    api = f"{known.api}/access"
    openid = _fapi(known, FAPI, "openid", runtime.url("/oauth/userinfo"))
    plain, own = _fapi(known, FAPI, "school", api), _fapi(known, OWN, "schools.list", api)
    return {
        "static.json": _common(known, "static clients") | static | {"override": _oidc_overrides(known)},
        "registered.json": _common(known, "dynamic registration") | registered | {"override": _oidc_overrides(known)},
        "fapi2-openid.json": _common(known, "FAPI 2.0") | openid | {"override": _fapi_overrides(known)},
        "fapi2-plain.json": _common(known, "FAPI 2.0, OAuth") | plain | {"override": _fapi_overrides(known)},
        "fapi2-client-credentials.json": _common(known, "FAPI 2.0, client credentials") | own,
    }


def _common(known: Prepared, what: str) -> dict[str, Any]:
    return {
        "alias": known.suite.rpartition("/")[2],
        "description": f"{runtime.settings().service.name}, {what}",
        "server": {"discoveryUrl": runtime.url("/.well-known/openid-configuration")},
        "browser": [_authorize(known), _leave(_task("Back at the suite", f"{known.suite}/post_logout_redirect*"))],
    }


def _with_secret(client: Credentials) -> dict[str, Any]:
    return {"client_id": client.client_id, "client_secret": client.secret}


def _fapi(known: Prepared, names: tuple[str, str], scope: str, resource: str) -> dict[str, Any]:
    """Two clients with keys, and what they call with their tokens."""
    first, second = ({"client_id": name, "scope": scope, "jwks": known.clients[name].keys} for name in names)
    return {"client": first, "client2": second, "resource": {"resourceUrl": resource}}


# Visits: an address that the browser is sent to, and what is done on the pages that follow


def _authorize(known: Prepared, *before_signing_in: list[Any]) -> Visit:
    """Sign in and agree where that is asked, and arrive at the suite."""
    commands = [
        *before_signing_in,
        ["text", "id", "username", known.username],
        ["text", "id", "password", known.password],
        ["click", "id", "sign-in"],
    ]
    return {
        "match": runtime.url("/oauth/authorize*"),
        "tasks": [
            _task("Sign in", runtime.url("/sign-in*"), *commands, optional=True),
            _task("Agree", runtime.url("/oauth/consent*"), ["click", "id", "allow"], optional=True),
            _arrive(known),
        ],
    }


def _leave(*tasks: Task) -> Visit:
    return {"match": runtime.url("/oauth/logout*"), "tasks": list(tasks)}


def _shown_at(path: str, *commands: list[Any]) -> Visit:
    """The browser's way to the authorization endpoint, and what it does on the page that it finds there."""
    return {"match": runtime.url("/oauth/authorize*"), "tasks": [_task("Our page", runtime.url(path), *commands)]}


def _arrive(known: Prepared) -> Task:
    return _task("Arrive", f"{known.suite}/callback*", ["wait", "id", "submission_complete", WAIT])


# Overrides: the modules that end on a page of ours


def _oidc_overrides(known: Prepared) -> dict[str, Any]:
    again = _authorize(known, ["wait", "id", "sign-in", WAIT, "Sign in", f"{SCREENSHOT}-optional"])
    found = {name: [again] for name in SIGN_IN_AGAIN}
    refused = _shown_at("/oauth/authorize*", _shows("error-parameter", "redirect_uri"))
    found["oidcc-ensure-registered-redirect-uri"] = [refused]
    goodbye = _task("Signed out", runtime.url("/signed-out*"), _shows("signed-out", ".*"))
    asks = _leave(_task("Confirm", runtime.url("/oauth/logout*"), ["click", "id", "confirm-logout"]), goodbye)
    leaving: dict[str, Visit] = {
        "no-post-logout-redirect-uri": _leave(goodbye),
        **dict.fromkeys(LOGOUT_ASKS, asks),
        **{name: _leave(_error_page(parameter)) for name, parameter in LOGOUT_FAULTS.items()},
    }
    found |= {f"oidcc-rp-initiated-logout-{name}": [_authorize(known), visit] for name, visit in leaving.items()}
    return {name: {"browser": visits} for name, visits in found.items()}


def _fapi_overrides(known: Prepared) -> dict[str, Any]:
    once = {"match-limit": 1}
    stale = _shown_at("/oauth/authorize*", _shows("error-code", "request_expired"))
    looks = _shown_at("/sign-in*", ["wait", "id", "sign-in", WAIT, "Sign in"])
    turns_back = _shown_at("/sign-in*", ["click", "id", "cancel"])
    turns_back["tasks"].append(_arrive(known))
    visits = {
        "user-rejects-authentication": [turns_back],
        "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": [looks | once, _authorize(known)],
        "par-attempt-reuse-request_uri": [_authorize(known) | once, stale],
        "par-attempt-to-use-expired-request_uri": [stale],
        "par-attempt-to-use-request_uri-for-different-client": [stale],
    }
    return {f"{FAPI_MODULES}{name}": {"browser": each} for name, each in visits.items()}


def _error_page(parameter: str) -> Task:
    return _task("Error page", runtime.url("/oauth/logout*"), _shows("error-parameter", parameter))


def _shows(control: str, words: str) -> list[Any]:
    """Wait until the control says the words, and take the picture."""
    return ["wait", "id", control, WAIT, words, SCREENSHOT]


def _task(name: str, match: str, *commands: list[Any], optional: bool = False) -> Task:
    said: Task = {"task": name, "match": match}
    return said | ({"optional": True} if optional else {}) | ({"commands": list(commands)} if commands else {})
