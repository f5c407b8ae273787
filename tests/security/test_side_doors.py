"""security.md S41: a grant, response type or method the client lacks; `password`, `token`; paths not listed
(CVE-2026-9792).
"""

import ast

import pytest
from sqlalchemy import func, select

from idp.estabs.models import Administrator
from idp.foundation.setting_types import ROOT
from idp.signin.models import BrowserSession, Developer, Operator
from tests.oidc.support import redirect_parameters, sign_in_and_authorise


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token", "none", "code code", "CODE"])
def test_other_response_types_are_refused(web, world, response_type):
    params = redirect_parameters(web.get(world.partner.link(response_type=response_type)))
    assert params["error"] in {"unsupported_response_type", "invalid_request"}


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
def test_other_grant_types_are_refused(web, world, grant):
    form = {"grant_type": grant, "username": world.username, "password": "x", "assertion": "x"}
    assert world.partner.post(web, "/oauth/token", form).json["error"] == "unsupported_grant_type"


def test_a_grant_type_the_client_lacks_is_refused(web, world):
    partner = world.new_partner(grant_types=frozenset({"authorization_code"}))
    params = sign_in_and_authorise(web, partner, world.username)
    assert "refresh_token" not in partner.redeem(web, params["code"]).json
    assert partner.refresh(web, "x").json["error"] == "unauthorized_client"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par"])
def test_other_http_methods_are_refused(web, path, method):
    assert web.open(path, method=method).status_code == 405


SESSION_STARTS = {"begin_session", "sign_in_owner"}
"""Functions that sign a person in; so do those of `SIGN_IN_FUNCTIONS` in the modules of `SIGN_IN_MODULES`."""
SIGN_IN_FUNCTIONS = {"begin", "renew", "sign_in"}
SIGN_IN_MODULES = {"session", "sessions", "browser_sessions", "second_step", "runtime.ports()"}
WAYS_IN = {
    "federation/views.py",  # a linked account of another provider
    "onboarding/views.py",  # the owner of a school that was just registered, with the password just made
    "signin/code_account_views.py",  # operators, and the people of partners
    "signin/second_step.py",
    "signin/views.py",  # a password, a passkey
    # Pages that put a person who is signed in under a new id:
    "manage/own_account_views.py",
    "manage/passkey_views.py",
    "manage/security_views.py",
}


def starts_a_session(node):
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id in SESSION_STARTS
    if not isinstance(called, ast.Attribute):
        return False
    return called.attr in SESSION_STARTS or (
        called.attr in SIGN_IN_FUNCTIONS and ast.unparse(called.value) in SIGN_IN_MODULES
    )


def test_sessions_begin_only_in_the_listed_modules():
    """Section 5 of security.md lists them: a new one is a decision."""
    modules = ROOT.joinpath("idp").rglob("*.py")
    starting = {path for path in modules if any(map(starts_a_session, ast.walk(ast.parse(path.read_text("utf-8")))))}

    assert {path.relative_to(ROOT / "idp").as_posix() for path in starting} == WAYS_IN


def test_a_new_installation_has_no_account(transaction):
    with transaction() as session:
        for model in (Administrator, Developer, Operator, BrowserSession):
            assert session.scalar(select(func.count()).select_from(model)) == 0
