"""A view runs in one transaction, unless its route is declared to run in autocommit."""

import pytest
from sqlalchemy import event
from werkzeug.exceptions import Conflict

from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, database, inserts, request_state
from idp.foundation.web import security
from idp.foundation.web.throttle import rate_limit
from idp.foundation.web.transactions import autocommit
from idp.oidc.models import UsedJti
from tests.oidc.support import sign_in_and_authorise
from tests.oidc.world import world

__all__ = ["world"]

AUTOCOMMIT = {
    "/readyz", "/oauth/par", "/oauth/introspect", "/oauth/userinfo", "/api/schools", "/api/schools/<estab_id>",
    "/api/register/schools", "/api/invitations", "/api/invitations/<invitation_id>", "/api/endpoint",
}  # fmt: skip


def test_these_routes_run_in_autocommit_and_no_others(app):
    rules = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "runs_in_autocommit", False)
    }

    assert rules == AUTOCOMMIT


@pytest.fixture
def isolation_modes(app):
    """`isolation_modes(call)` returns the response, and whether each statement of the request ran in autocommit."""
    engine = database.CONNECTIONS.for_app(app).engine

    def watch(call):
        modes: list[bool] = []

        @event.listens_for(engine, "before_cursor_execute")
        def _note(connection, *_others):
            modes.append(bool(connection.get_execution_options().get("autocommit")))

        try:
            response = call()
        finally:
            event.remove(engine, "before_cursor_execute", _note)
        return response, modes

    return watch


def test_userinfo_runs_in_autocommit_and_the_token_endpoint_in_a_transaction(web, world, isolation_modes):
    code = sign_in_and_authorise(web, world.partner, world.username)["code"]
    tokens, at_token = isolation_modes(lambda: world.partner.redeem(web, code))
    bearer = {"Authorization": f"Bearer {tokens.json['access_token']}"}
    _, at_userinfo = isolation_modes(lambda: web.get("/oauth/userinfo", headers=bearer))

    assert set(at_token) == {False}
    assert set(at_userinfo) == {True}


@pytest.mark.parametrize("is_kept", [True, False])
def test_changes_of_a_view_that_raised_are_committed_in_autocommit_only(app, web, transaction, monkeypatch, is_kept):
    def view():
        inserts.insert_if_absent(UsedJti, digest=crypto.digest("a"), expires_at=clock.now())
        raise Conflict

    guarded = security.anyone(rate_limit(100)(view))
    monkeypatch.setitem(app.view_functions, "health.healthz", autocommit(guarded) if is_kept else guarded)

    assert web.get("/healthz").status_code == 409
    with transaction() as session:
        assert (session.get(UsedJti, crypto.digest("a")) is not None) == is_kept


def test_a_function_before_commit_runs_after_pending_objects_are_written(transaction, world):
    pending = []
    with transaction() as session:
        session.get_one(Administrator, world.person).name = "Another Name"
        request_state.current().before_commit = lambda: pending.extend(session.dirty)

    assert pending == []
