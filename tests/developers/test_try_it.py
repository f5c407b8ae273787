"""The console walks through a real sign-in with a sandbox application, and shows nothing that is secret."""

import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from idp.developers import sandbox
from idp.estabs import fictional
from idp.foundation import runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.oidc.clients import keys as client_keys
from idp.oidc.clients.client import OAuthClient
from idp.partners import companies, manifest, registry, trial_keys, trial_secrets
from idp.partners.models import ClientSecret, TrialKey
from idp.signin.models import Developer
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
    assert back.path == trial_secrets.CALLBACK
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


PROFILES = {
    "a key": {"security": "private_key_jwt"},
    "the profile fapi2": {"security": "fapi2"},
    "a key, requests that are signed": {
        "security": "private_key_jwt",
        "differs": {"require_signed_request_object": True, "token_endpoint_auth_signing_alg": "EdDSA"},
    },
    "the profile fapi2, requests that are signed": {
        "security": "fapi2", "differs": {"require_signed_request_object": True, "request_object_signing_alg": "PS256"},
    },
    "an HMAC of its secret, tokens bound to a key": {
        "differs": {"token_endpoint_auth_method": "client_secret_jwt", "dpop_bound_access_tokens": True},
    },
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_an_application_is_tried_as_its_profile_has_it(dev, trial, work, profile):
    client_id = of_profile(work, trial, **profile)
    path = goes_through(dev, client_id, trial[1])
    assert "All of it went well" in dev.sees, dev.sees
    titles = [heading.get_text() for heading in dev.page.select("section.card h2")]
    is_pushed = profile.get("security") == "fapi2"
    assert titles[0].endswith("pushes its request") is is_pushed
    assert len(titles) == (8 if is_pushed else 7)
    is_bound = profile.get("security") == "fapi2" or "dpop_bound_access_tokens" in profile.get("differs", {})
    assert ("dpop+jwt" in dev.sees) is is_bound
    assert "client_assertion=a JWT" in dev.sees
    assert '"d":' not in dev.answer.text
    assert parse_qs(urlsplit(path).query)["code"][0] not in dev.answer.text
    assert re.search(r"eyJ[\w-]{20}", dev.answer.text) is None
    with work():
        assert session().scalars(select(TrialKey)).all() == []


def test_every_claim_of_a_token_is_explained(dev, trial, work):
    goes_through(dev, of_profile(work, trial, security="fapi2"), trial[1])
    steps = dev.page.select("section.card:has(details)")
    assert len(steps) == 3
    for step in steps:
        shown = step.select_one("pre[id^=received]").get_text()
        claims = json.loads("{" + shown.rpartition("\n{")[2])
        assert claims.keys() == {name.get_text(strip=True) for name in step.select("details dt")}


def test_a_pushed_request_that_is_refused_is_explained_at_once(dev, trial, work):
    client_id = of_profile(work, trial, security="fapi2")
    dev.opens(f"/developers/applications/{client_id}/try-it")
    dev.sends_again(f"/developers/applications/{client_id}/try-it", scope="openid nothing")
    assert dev.answer.location == trial_secrets.CALLBACK
    dev.opens(dev.answer.location)
    assert "invalid_scope" in dev.sees
    assert "Not all of it went well" in dev.sees
    with work():
        assert session().scalars(select(TrialKey)).all() == []


def test_a_key_of_the_console_works_for_half_an_hour_and_for_sandbox_applications_alone(dev, trial, work, clock):
    client_id = of_profile(work, trial, security="private_key_jwt")
    dev.opens(f"/developers/applications/{client_id}/try-it")
    dev.sends_again(f"/developers/applications/{client_id}/try-it", scope="openid")
    with work():
        (row,) = session().scalars(select(TrialKey)).all()
        kid = row.kid
        assert [key.thumbprint() for key in client_keys.of(OAuthClient(registry.client(client_id)), kid)] == [kid]
    clock.move(timedelta(minutes=31))
    with work():
        assert kid not in [key.thumbprint() for key in client_keys.of(OAuthClient(registry.client(client_id)), kid)]


def test_a_live_application_never_has_a_key_of_the_console(work, assembly):
    with work():
        factories.a_client(companies.by_id(assembly), id="live")
        with pytest.raises(NotFound):
            trial_keys.add("live", [trial_keys.generate("ES256")], by="dev_1")


def of_profile(work, trial, security="", differs=None):
    """The id of a sandbox application that proves itself so."""
    keys = {"keys": [trial_keys.public(trial_keys.generate(alg)) for alg in ("ES256", "EdDSA")]}
    with work():
        client, _ = sandbox.make_application(
            session().scalars(select(Developer)).first(), name="Another", quick_start_id="authlib",
            address="http://localhost:3000", security=security, jwks=keys if security else None,
        )  # fmt: skip
        if differs:
            registry.change({**manifest.of_client(client), "jwks": keys, **differs}, by="dev_1")
        return client.id


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
    dev.opens(f"{trial_secrets.CALLBACK}?code=stolen&state=another")
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
