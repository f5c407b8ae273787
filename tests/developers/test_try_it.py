"""The console walks through a real sign-in with a sandbox application, and shows nothing that is secret."""

from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from idp.developers import sandbox
from idp.estabs import fictional
from idp.foundation import runtime
from idp.foundation.database import session
from idp.partners import companies, registry
from idp.partners.models import ClientSecret
from tests import factories
from tests.code_accounts import a_developer


@pytest.fixture
def trial(work, assembly):
    """The ids of sandbox applications with a secret and without, and the username of a fictional school."""
    with work():
        person, _ = a_developer(companies.by_id(assembly), "bo@assembly.example")
        ids = [
            sandbox.make_application(person, name="Trial", quick_start_id=software, address="")[0].id
            for software in ("authlib", "oidc-client-ts")
        ]
        password = ("", runtime.passwords().hash(factories.PASSWORD))
        made = sandbox.make_school(person, "primary", mis="sims", password=password, is_verified=True)
        fictional.owner(made.estab).password_is_ours = False
        return ids, made.username


def goes_through(dev, client_id, username, scope="openid profile students", button="allow"):
    """Start, sign in as the school, decide; the path that the browser comes back to."""
    dev.opens(f"/developers/applications/{client_id}")
    dev.opens(dev.page.find(id="try-it")["href"])
    dev.sends_again(f"/developers/applications/{client_id}/try-it", scope=scope)
    answer = dev.web.get(dev.answer.location)
    dev.opens(answer.location)
    dev.sends_again(answer.location, username=username, password=factories.PASSWORD)
    answer = dev.web.get(dev.answer.location)
    if urlsplit(answer.location).path == "/oauth/consent":
        dev.opens(answer.location)
        form = {name: dev.page.find("input", {"name": name})["value"] for name in ("shown", "agreement")}
        dev.sends_again(answer.location, authority="y", **form, **{button: "yes"})
        answer = dev.web.get(dev.answer.location)
    back = urlsplit(answer.location)
    assert back.path == sandbox.TRY_IT
    dev.opens(f"{back.path}?{back.query}")
    return f"{back.path}?{back.query}"


@pytest.mark.parametrize("kind", [0, 1], ids=["with a secret", "public"])
def test_each_step_of_a_sign_in_is_shown_without_secrets(dev, trial, work, kind):
    client_id, username = trial[0][kind], trial[1]
    path = goes_through(dev, client_id, username)
    assert dev.answer.status_code == 200
    assert "All of it went well" in dev.sees
    assert len(dev.page.select("section.card")) == 7
    assert "Alex Example" in dev.sees
    assert '"typ": "at+jwt"' in dev.sees
    assert parse_qs(urlsplit(path).query)["code"][0] not in dev.answer.text
    assert "eyJhbGciOi" not in dev.answer.text
    with work():
        left = session().scalars(select(ClientSecret).where(ClientSecret.client_id == client_id)).all()
        assert len(left) == (1 if kind == 0 else 0)
    assert dev.opens(path).status_code == 410


def test_a_school_that_refuses_is_explained(dev, trial):
    goes_through(dev, trial[0][0], trial[1], button="deny")
    assert "access_denied" in dev.sees
    assert "Not all of it went well" in dev.sees


def test_another_browser_learns_nothing_from_the_address(dev, trial, stranger):
    path = goes_through(dev, trial[0][0], trial[1])
    assert stranger.opens(path).status_code == 410


def test_a_state_that_was_not_sent_is_thrown_away(dev, trial):
    dev.opens(f"/developers/applications/{trial[0][0]}/try-it")
    dev.sends_again(f"/developers/applications/{trial[0][0]}/try-it", scope="openid")
    dev.opens(f"{sandbox.TRY_IT}?code=stolen&state=another")
    assert "thrown away" in dev.sees


def test_a_live_application_cannot_be_tried(dev, work, assembly):
    with work():
        factories.a_client(companies.by_id(assembly), id="live")
    dev.opens("/developers/applications/live/try-it")
    assert dev.page.find(id="start") is None
    dev.opens("/developers/people")
    dev.web.post("/developers/applications/live/try-it", data={"csrf_token": dev.token, "scope": "openid"})
    with work():
        assert len(registry.secrets_of("live")) == 1


def test_another_partners_application_is_not_there(dev, work):
    with work():
        other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
        client_id = sandbox.make_application(other, name="Other", quick_start_id="authlib", address="")[0].id
    assert dev.opens(f"/developers/applications/{client_id}/try-it").status_code == 404
