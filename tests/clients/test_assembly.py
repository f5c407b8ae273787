"""Assembly: what a careful client does with right answers, with wrong ones, and with none."""

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey

from clients.assembly import areas
from clients.assembly.app import create_app
from clients.assembly.settings import BadSettings, Settings, from_environment
from tests.clients import provider as fake

HOST = {"base_url": "http://localhost:5001"}


@pytest.fixture
def provider():
    with fake.running() as running:
        yield running


@pytest.fixture
def settings(provider, tmp_path):
    return Settings(provider.issuer, "assembly", "s3cret", 5001, tmp_path)


@pytest.fixture
def app(settings):
    return create_app(settings)


class Person:
    """Somebody with a browser, at Assembly."""

    def __init__(self, app, provider):
        self.web, self.provider = app.test_client(), provider

    def opens(self, path):
        return self.web.get(path, **HOST)

    def presses(self, path):
        self.web.application.config["WTF_CSRF_ENABLED"] = False
        return self.web.post(path, **HOST)

    def sets_out(self, path="/sign-in"):
        """Goes off to the provider, which remembers what it was asked."""
        response = self.opens(path)
        self.provider.asked = {name: value[0] for name, value in parse_qs(urlsplit(response.location).query).items()}
        return response

    def signs_in(self):
        self.sets_out()
        response = self.opens(f"/callback?{self.provider.answer()}")
        assert response.status_code == 303, response.text
        return self.opens("/").text


@pytest.fixture
def person(app, provider):
    return Person(app, provider)


def test_it_asks_for_what_its_manifest_says_and_answers_where_it_says(app):
    manifest = tomllib.loads(Path("clients/assembly/client.toml").read_text("utf-8"))

    scopes = manifest["scopes"]
    assert {*areas.IDENTITY, *(area.scope for area in areas.AREAS if area.needed)} == set(scopes["required"])
    assert {area.scope for area in areas.AREAS if not area.needed} == set(scopes["optional"])
    assert manifest["client_id"] == "assembly"
    named = [*manifest["redirect_uris"], *manifest["post_logout_redirect_uris"], manifest["initiate_login_uri"]]
    routes = {f"http://localhost:5001{rule.rule}" for rule in app.url_map.iter_rules()}
    assert set(named) <= routes
    assert set(manifest["grant_types"]) == {"authorization_code", "refresh_token"}


def test_it_sets_out_with_everything_that_protects_the_way_back(person, provider):
    assert person.sets_out().location.startswith(f"{provider.issuer}/authorize?")

    asked = provider.asked
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20
    assert asked["redirect_uri"] == "http://localhost:5001/callback"
    assert set(asked["scope"].split()) == set(areas.SCOPE.split())


def test_the_page_says_who_for_which_school_and_what_is_still_waiting(person):
    page = person.signs_in()

    assert "Grace Okafor" in page
    assert "Willow Bank Primary School" in page
    assert "3124567" in page
    assert page.count("Waiting for verification") == 3, "what the school agreed to, its own choice among it"


def test_the_code_goes_out_with_its_verifier_and_our_credentials(person, provider):
    person.signs_in()

    sent = provider.posted[0]
    assert sent["grant_type"] == "authorization_code"
    assert 43 <= len(sent["code_verifier"]) <= 128
    assert sent["authorization"].startswith("Basic ")


def test_the_cookie_holds_no_token_and_no_name(person, tmp_path):
    person.signs_in()

    cookie = person.web.get_cookie("assembly").decoded_value
    content = person.web.application.session_interface.get_signing_serializer(person.web.application).loads(cookie)
    assert set(content) == {"handle", "csrf_token"}
    with closing(sqlite3.connect(tmp_path / "assembly.sqlite3")) as database:
        kept = str(database.execute("SELECT digest, content FROM sign_ins").fetchall())
    assert "the-access-token" in kept
    assert content["handle"] not in kept


def test_checking_again_brings_what_was_withheld(person, provider):
    person.signs_in()
    provider.status, provider.scope, provider.withheld = "verified", areas.SCOPE, ""

    assert person.presses("/check-again").status_code == 303
    page = person.opens("/").text

    assert "New: your school now shares School details, Pupils, Attendance" in page
    assert "Verified school" in page
    assert "Waiting" not in page
    assert provider.posted[-1]["refresh_token"] == "the-refresh-token"
    assert "scope" not in provider.posted[-1], "asking for all of it would be asking for more than was granted"


def test_an_area_a_verified_school_did_not_tick_is_not_shared(person, provider):
    provider.status, provider.scope, provider.withheld = "verified", areas.SCOPE.replace(" attendance", ""), ""

    page = person.signs_in()

    assert page.count("Not shared") == 1


def test_a_schools_data_is_still_available_after_the_person_has_left(person, provider):
    provider.status = "verified"
    person.signs_in()
    provider.scope, provider.about = "school students", {"sub": "nobody"}

    assert person.presses("/check-again").status_code == 303
    assert "New: your school now shares School details, Pupils with us" in person.opens("/").text


def test_when_sharing_has_ended_the_tokens_are_forgotten(person, provider):
    person.signs_in()
    provider.refuses["refresh_token"] = "invalid_grant"

    assert "Your school no longer shares with us" in person.presses("/check-again").text
    assert "Sign in with your school account" in person.opens("/").text


def test_while_the_school_has_paused_sharing_the_person_stays_signed_in(person, provider):
    provider.status, provider.scope, provider.withheld = "verified", areas.SCOPE, ""
    person.signs_in()
    provider.refuses["refresh_token"] = "access_denied"

    assert person.presses("/check-again").status_code == 303
    page = person.opens("/").text
    assert "Your school has paused sharing with us" in page
    assert "Grace Okafor" in page
    assert page.count(">Paused<") == len(areas.AREAS)

    del provider.refuses["refresh_token"]
    person.presses("/check-again")
    page = person.opens("/").text
    assert "Your school shares with us again." in page
    assert ">Paused<" not in page
    assert provider.posted[-1]["refresh_token"] == "the-refresh-token"


def test_a_refused_check_for_another_reason_keeps_the_sign_in(person, provider):
    person.signs_in()
    provider.refuses["refresh_token"] = "temporarily_unavailable"

    assert person.presses("/check-again").status_code == 503
    assert "Grace Okafor" in person.opens("/").text


def test_a_school_that_refuses_sees_a_friendly_page(person, provider):
    person.sets_out()

    page = person.opens(f"/callback?{provider.answer(code=None, error='access_denied')}")

    assert page.status_code == 200
    assert "Your school chose not to share" in page.text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"state": "another"}, "Please start again"),
        ({"state": None}, "Please start again"),
        ({"iss": "http://localhost:1"}, "We could not trust that answer"),
        ({"iss": None}, "We could not trust that answer"),
        ({"code": None}, "We could not trust that answer"),
        ({"code": None, "error": "invalid_scope"}, "would not accept our request"),
    ],
    ids=str,
)
def test_a_wrong_response_signs_no_one_in(person, provider, wrong, message):
    person.sets_out()

    page = person.opens(f"/callback?{provider.answer(**wrong)}")

    assert message in page.text
    assert page.status_code >= 400
    assert not provider.posted
    assert "Grace Okafor" not in person.opens("/").text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "http://localhost:1"},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": "assembly"},
        {"exp": 1},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=" ".join,
)
def test_a_wrong_id_token_signs_no_one_in(person, provider, claims):
    provider.claims = claims
    person.sets_out()

    page = person.opens(f"/callback?{provider.answer()}")

    assert page.status_code == 400
    assert "We could not trust that answer" in page.text
    assert "Grace Okafor" not in person.opens("/").text


def test_an_id_token_signed_by_another_key_signs_no_one_in(person, provider):
    provider.signs_with = ECKey.generate_key("P-256", {"kid": "one"})
    person.sets_out()

    assert "We could not trust that answer" in person.opens(f"/callback?{provider.answer()}").text


def test_userinfo_about_another_person_signs_no_one_in(person, provider):
    provider.about = {"sub": "adm_of_another_school"}
    person.sets_out()

    assert "We could not trust that answer" in person.opens(f"/callback?{provider.answer()}").text


def test_an_answer_is_good_once(person, provider):
    person.signs_in()

    assert "Please start again" in person.opens(f"/callback?{provider.answer()}").text


def test_an_answer_is_good_in_the_browser_that_asked(app, person, provider):
    person.sets_out()

    stranger = Person(app, provider)

    assert "Please start again" in stranger.opens(f"/callback?{provider.answer()}").text


def test_a_discovery_document_of_another_issuer_is_not_believed(person, provider):
    provider.discovery = {"issuer": "http://localhost:1"}

    assert person.opens("/sign-in").status_code == 503

    provider.discovery = {}
    assert person.opens("/sign-in").status_code == 302


def test_a_provider_that_is_down_is_said_plainly(tmp_path):
    app = create_app(Settings("http://localhost:1", "assembly", "s3cret", 5001, tmp_path))

    page = app.test_client().get("/sign-in", **HOST)

    assert page.status_code == 503
    assert "School sign-in is not answering" in page.text


def test_only_our_provider_may_initiate_a_login(person, provider):
    assert person.sets_out(f"/initiate?iss={provider.issuer}&login_hint=3124567").status_code == 302
    assert provider.asked["login_hint"] == "3124567"

    assert person.opens("/initiate?iss=http://evil.example").status_code == 400
    assert person.opens("/initiate").status_code == 400


def test_being_asked_to_begin_leads_nowhere_else(person, provider):
    going = person.opens(f"/initiate?iss={provider.issuer}&target_link_uri=http://evil.example/")

    assert "evil.example" not in going.location


def test_signing_out_ends_it_here_and_leads_to_the_provider_and_back(person, provider):
    person.signs_in()

    going = person.presses("/sign-out")

    asked = {name: value[0] for name, value in parse_qs(urlsplit(going.location).query).items()}
    assert going.status_code == 303
    assert going.location.startswith(f"{provider.issuer}/logout?")
    assert asked["id_token_hint"].count(".") == 2
    assert asked["post_logout_redirect_uri"] == "http://localhost:5001/signed-out"
    assert "Grace Okafor" not in person.opens("/").text
    assert "of the school sign-in service" in person.opens(f"/signed-out?state={asked['state']}").text
    assert "of the school sign-in service" not in person.opens(f"/signed-out?state={asked['state']}").text


def test_forms_need_their_token(person):
    person.signs_in()

    assert person.web.post("/sign-out", **HOST).status_code == 400
    assert "Grace Okafor" in person.opens("/").text


def test_pages_allow_no_script_and_no_frame(person):
    policy = person.opens("/").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action" not in policy  # the provider's redirects after our form are its own


def test_another_name_for_this_machine_leads_to_ours(app):
    assert app.test_client().get("/", base_url="http://127.0.0.1:5001").location == "http://localhost:5001/"


def test_all_errors_in_the_environment_are_reported_together():
    with pytest.raises(BadSettings) as bad:
        from_environment({"ASSEMBLY_ISSUER": "localhost", "ASSEMBLY_PORT": "many", "ASSEMBLY_CLIENT_SECRET_FILE": "/"})

    assert [fault.partition(":")[0] for fault in bad.value.args] == [
        "ASSEMBLY_ISSUER",
        "ASSEMBLY_PORT",
        "ASSEMBLY_CLIENT_SECRET_FILE",
    ]
