"""The console carries out a real sign-in with a sandbox application, and shows no secret."""

import json
import re
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from idp.developers import sandbox
from idp.estabs import fictional
from idp.foundation import runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.oidc.clients import client_keys
from idp.oidc.clients.oauth_client import OAuthClient
from idp.partners import companies, manifest, registry, trial_keys, trial_secrets
from idp.partners.models import ClientSecret, TrialKey
from idp.signin.models import Developer
from tests import factories
from tests.code_accounts import a_developer


class Trial(NamedTuple):
    """The ids of sandbox applications with a secret and without, and the username of a fictional school."""

    client_id: str
    public_client_id: str
    username: str


@pytest.fixture
def trial(transaction, assembly):
    """Sandbox applications and a fictional school, whose person signs in with `factories.PASSWORD`."""
    with transaction():
        person, _ = a_developer(companies.by_id(assembly), "bo@assembly.example")
        with_secret, _ = sandbox.make_application(person, name="Trial", quick_start_id="authlib", address="")
        public, _ = sandbox.make_application(person, name="Trial", quick_start_id="oidc-client-ts", address="")
        password = ("", runtime.passwords().hash(factories.PASSWORD))
        made = sandbox.make_school(person, "primary", mis="sims", password=password, is_verified=True)
        fictional.owner(made.estab).password_is_ours = False
        return Trial(with_secret.id, public.id, made.username)


def run_trial(developer, client_id, username, scope="openid profile students", button="allow"):
    """Start a trial, sign in as the school, and press the button; returns the path of the callback."""
    developer.open(f"/developers/applications/{client_id}")
    developer.open(developer.page.find(id="try-it")["href"])
    developer.post(f"/developers/applications/{client_id}/try-it", scope=scope)
    response = developer.web.get(developer.response.location)
    developer.open(response.location)
    developer.post(response.location, username=username, password=factories.PASSWORD)
    response = developer.web.get(developer.response.location)
    if urlsplit(response.location).path == "/oauth/consent":
        developer.open(response.location)
        form = {name: developer.page.find("input", {"name": name})["value"] for name in ("shown", "agreement")}
        developer.post(response.location, authority="y", **form, **{button: "yes"})
        response = developer.web.get(developer.response.location)
    callback = urlsplit(response.location)
    assert callback.path == trial_secrets.CALLBACK
    developer.open(f"{callback.path}?{callback.query}")
    return f"{callback.path}?{callback.query}"


@pytest.mark.parametrize("is_public", [False, True], ids=["with a secret", "public"])
def test_each_step_of_a_sign_in_is_shown_without_secrets(developer, trial, transaction, is_public):
    client_id = trial.public_client_id if is_public else trial.client_id
    path = run_trial(developer, client_id, trial.username)
    assert developer.response.status_code == 200
    assert "Everything went well" in developer.page_text
    assert len(developer.page.select("section.card")) == 7
    assert "Alex Example" in developer.page_text
    assert '"typ": "at+jwt"' in developer.page_text
    assert parse_qs(urlsplit(path).query)["code"][0] not in developer.response.text
    assert "eyJhbGciOi" not in developer.response.text
    with transaction():
        remaining_secrets = session().scalars(select(ClientSecret).where(ClientSecret.client_id == client_id)).all()
        assert len(remaining_secrets) == (0 if is_public else 1)
    assert developer.open(path).status_code == 410


PROFILES = {
    "a key": {"security": "private_key_jwt"},
    "the profile fapi2": {"security": "fapi2"},
    "a key, requests that are signed": {
        "security": "private_key_jwt",
        "overrides": {"require_signed_request_object": True, "token_endpoint_auth_signing_alg": "EdDSA"},
    },
    "the profile fapi2, requests that are signed": {
        "security": "fapi2",
        "overrides": {"require_signed_request_object": True, "request_object_signing_alg": "PS256"},
    },
    "an HMAC of its secret, tokens bound to a key": {
        "overrides": {"token_endpoint_auth_method": "client_secret_jwt", "dpop_bound_access_tokens": True},
    },
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_trial_sign_in_uses_the_profile_of_the_application(developer, trial, transaction, profile):
    client_id = make_application(transaction, trial, **profile)
    path = run_trial(developer, client_id, trial.username)
    assert "Everything went well" in developer.page_text, developer.page_text
    titles = [heading.get_text() for heading in developer.page.select("section.card h2")]
    is_pushed = profile.get("security") == "fapi2"
    assert titles[0].endswith("pushes its request") is is_pushed
    assert len(titles) == (8 if is_pushed else 7)
    is_bound = profile.get("security") == "fapi2" or "dpop_bound_access_tokens" in profile.get("overrides", {})
    assert ("dpop+jwt" in developer.page_text) is is_bound
    assert "client_assertion=a JWT" in developer.page_text
    assert '"d":' not in developer.response.text
    assert parse_qs(urlsplit(path).query)["code"][0] not in developer.response.text
    assert re.search(r"eyJ[\w-]{20}", developer.response.text) is None
    with transaction():
        assert session().scalars(select(TrialKey)).all() == []


def test_every_claim_of_a_token_is_explained(developer, trial, transaction):
    run_trial(developer, make_application(transaction, trial, security="fapi2"), trial.username)
    steps = developer.page.select("section.card:has(details)")
    assert len(steps) == 3
    for step in steps:
        shown = step.select_one("pre[id^=received]").get_text()
        claims = json.loads("{" + shown.rpartition("\n{")[2])
        assert claims.keys() == {name.get_text(strip=True) for name in step.select("details dt")}


def test_a_pushed_request_that_is_refused_is_explained_at_once(developer, trial, transaction):
    client_id = make_application(transaction, trial, security="fapi2")
    developer.open(f"/developers/applications/{client_id}/try-it")
    developer.post(f"/developers/applications/{client_id}/try-it", scope="openid nothing")
    assert developer.response.location == trial_secrets.CALLBACK
    developer.open(developer.response.location)
    assert "invalid_scope" in developer.page_text
    assert "Something went wrong" in developer.page_text
    with transaction():
        assert session().scalars(select(TrialKey)).all() == []


def test_a_key_of_the_console_is_accepted_for_half_an_hour(developer, trial, transaction, clock):
    client_id = make_application(transaction, trial, security="private_key_jwt")
    developer.open(f"/developers/applications/{client_id}/try-it")
    developer.post(f"/developers/applications/{client_id}/try-it", scope="openid")
    with transaction():
        (row,) = session().scalars(select(TrialKey)).all()
        kid = row.kid
        assert [key.thumbprint() for key in client_keys.for_client(OAuthClient(registry.client(client_id)), kid)] == [
            kid
        ]
    clock.move(timedelta(minutes=31))
    with transaction():
        assert kid not in [
            key.thumbprint() for key in client_keys.for_client(OAuthClient(registry.client(client_id)), kid)
        ]


def test_a_key_of_the_console_cannot_be_added_to_a_live_application(transaction, assembly):
    with transaction():
        factories.a_client(companies.by_id(assembly), id="live")
        with pytest.raises(NotFound):
            trial_keys.add("live", [trial_keys.generate("ES256")], by="dev_1")


def make_application(transaction, trial, security="", overrides=None):
    """The id of a sandbox application with this kind of authentication."""
    keys = {"keys": [trial_keys.public_half(trial_keys.generate(alg)) for alg in ("ES256", "EdDSA")]}
    with transaction():
        client, _ = sandbox.make_application(
            session().scalars(select(Developer)).first(), name="Another", quick_start_id="authlib",
            address="http://localhost:3000", security=security, jwks=keys if security else None,
        )  # fmt: skip
        if overrides:
            registry.change({**manifest.from_client(client), "jwks": keys, **overrides}, by="dev_1")
        return client.id


def test_a_school_that_refuses_is_explained(developer, trial):
    run_trial(developer, trial.client_id, trial.username, button="deny")
    assert "access_denied" in developer.page_text
    assert "Something went wrong" in developer.page_text


def test_the_callback_does_not_work_in_another_browser(developer, trial, stranger):
    path = run_trial(developer, trial.client_id, trial.username)
    assert stranger.open(path).status_code == 410


def test_a_callback_with_another_state_is_refused(developer, trial):
    developer.open(f"/developers/applications/{trial.client_id}/try-it")
    developer.post(f"/developers/applications/{trial.client_id}/try-it", scope="openid")
    developer.open(f"{trial_secrets.CALLBACK}?code=stolen&state=another")
    assert "must stop" in developer.page_text


def test_a_live_application_cannot_be_tried(developer, transaction, assembly):
    with transaction():
        factories.a_client(companies.by_id(assembly), id="live")
    developer.open("/developers/applications/live/try-it")
    assert developer.page.find(id="start") is None
    developer.open("/developers/people")
    developer.web.post("/developers/applications/live/try-it", data={"csrf_token": developer.token, "scope": "openid"})
    with transaction():
        assert len(registry.secrets_of("live")) == 1


def test_another_partners_application_is_not_found(developer, transaction):
    with transaction():
        other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
        client_id = sandbox.make_application(other, name="Other", quick_start_id="authlib", address="")[0].id
    assert developer.open(f"/developers/applications/{client_id}/try-it").status_code == 404
