"""The console shows a partner's progress, failed requests, and what is registered already."""

import base64
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from idp.developers import sandbox
from idp.estabs import fictional
from idp.foundation import crypto, runtime
from idp.partners import companies, registry
from tests import factories
from tests.code_accounts import a_developer, sign_in
from tests.signin.person import Person

CALLBACK = "http://localhost:3000/"
VERIFIER = "v" * 43


@pytest.fixture
def trial(transaction, assembly):
    """The id of a sandbox application of Assembly."""
    with transaction():
        person, _ = a_developer(companies.by_id(assembly), "bo@assembly.example")
        return sandbox.make_application(person, name="Trial", quick_start_id="oidc-client-ts", address="")[0].id


def authorization_request(client_id, **overrides):
    """The parameters of an authorization request."""
    challenge = crypto.digest(VERIFIER)
    return {
        "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": "openid profile",
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(), "code_challenge_method": "S256",
        "state": "s", **overrides,
    }  # fmt: skip


def begin_failing_sign_in(person, client_id):
    """Begin a sign-in with a wrong redirect URI in this browser; returns the reference on the error page."""
    query = authorization_request(client_id, redirect_uri="http://localhost:3000/other")
    person.response = person.web.get("/oauth/authorize", query_string=query)
    return person.response.headers["X-Request-ID"]


def steps_done(developer):
    """The ids of the steps that are ticked off on the first page of the console."""
    developer.open("/developers")
    return [item["id"] for item in developer.page.select("li[id^=step-]") if item.select_one(".badge.success")]


def test_the_page_tells_people_without_an_account_how_to_get_one(developer, stranger):
    stranger.open("/developers")
    assert "A colleague who is an owner" in stranger.page.find(id="no-account").get_text()
    assert stranger.page.find(id="no-account").find("a")["href"].startswith("mailto:")
    developer.open("/developers")
    assert not developer.page.find(id="no-account")


class TestFailedRequests:
    def test_the_page_of_a_wrong_redirect_uri_leads_to_its_entry_in_the_log(self, developer, trial, stranger):
        reference = begin_failing_sign_in(stranger, trial)
        link = stranger.page.find(id="failed-requests")["href"]
        assert reference in stranger.page_text
        stranger.open(link)
        assert urlsplit(stranger.response.location).path == "/developers/sign-in"

        developer.open(link)
        assert developer.page.find(id="reference")["value"] == reference
        assert len(developer.page.select("section.card")) == 1
        assert "http://localhost:3000/other" in developer.page_text
        assert "differs in path" in developer.page_text
        assert developer.page.find("a", href="/developers/guide#refused")

    def test_the_link_on_the_error_page_is_the_same_for_a_client_that_does_not_exist(self, trial, stranger):
        begin_failing_sign_in(stranger, trial)
        shown_text = stranger.page.find(id="failed-requests").parent.get_text()
        begin_failing_sign_in(stranger, "client_that_is_not_there")
        assert stranger.page.find(id="failed-requests").parent.get_text() == shown_text

    def test_the_page_of_an_unknown_client_says_to_compare_its_id(self, trial, stranger):
        begin_failing_sign_in(stranger, trial)
        assert not stranger.page.find(id="other-client")
        begin_failing_sign_in(stranger, "client_that_is_not_there")
        assert stranger.page.find(id="other-client")

    def test_the_log_has_no_uri_of_the_console_among_those_that_differ(self, developer, trial, stranger):
        developer.open(f"/developers/failed-requests?reference={begin_failing_sign_in(stranger, trial)}")
        assert "/developers/try-it/callback" not in developer.page_text

    def test_each_of_several_failures_of_the_same_kind_is_found(self, developer, trial, stranger):
        references = [begin_failing_sign_in(stranger, trial) for _ in range(3)]
        for reference in references:
            developer.open(f"/developers/failed-requests?reference={reference.upper()}")
            assert "3 times since" in developer.page_text
        developer.open(f"/developers/applications/{trial}")
        assert developer.page.find(id="log").find_next("section").get_text().count(references[0]) == 1

    def test_only_the_newest_references_are_kept(self, developer, trial, stranger):
        references = [begin_failing_sign_in(stranger, trial) for _ in range(12)]
        for reference, is_there in ((references[0], False), (references[2], True), (references[-1], True)):
            developer.open(f"/developers/failed-requests?reference={reference}")
            assert ("12 times since" in developer.page_text) is is_there

    def test_the_log_of_failures_is_shown_before_the_uris_if_there_is_one(self, developer, trial, stranger):
        begin_failing_sign_in(stranger, trial)
        developer.open(f"/developers/applications/{trial}")
        headings = [heading.get("id") for heading in developer.page.select("h2[id]")]
        assert headings.index("log") < headings.index("addresses")

    @pytest.mark.parametrize("reference", ["%", "0123456789abcdef", "x" * 60, "' or 1=1"])
    def test_an_unknown_reference_shows_no_log_entry(self, developer, trial, stranger, reference):
        begin_failing_sign_in(stranger, trial)
        developer.open(f"/developers/failed-requests?{urlencode({'reference': reference})}")
        assert "None of your applications has this reference" in developer.page_text
        assert "http://localhost:3000/other" not in developer.page_text

    def test_people_of_another_partner_do_not_see_the_log_entry(self, trial, stranger, transaction, new_browser):
        reference = begin_failing_sign_in(stranger, trial)
        with transaction():
            _, seed = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
        al = Person(new_browser())
        sign_in(al, "/developers", "al@timetabler.example", seed)
        al.open(f"/developers/failed-requests?reference={reference}")
        assert "None of your applications has this reference" in al.page_text
        assert al.open(f"/developers/failed-requests?client_id={trial}").status_code == 404


class TestProgress:
    def test_the_page_shows_no_steps_without_a_sign_in(self, stranger):
        stranger.open("/developers")
        assert stranger.page.find(id="step-application") is None

    def test_each_step_is_ticked_off_when_it_has_happened(self, developer, assembly, stranger, transaction):
        assert steps_done(developer) == []
        with transaction():
            person, _ = a_developer(companies.by_id(assembly), "bo@assembly.example")
            client = sandbox.make_application(person, name="Trial", quick_start_id="oidc-client-ts", address="")[0].id
            password = ("", runtime.passwords().hash(factories.PASSWORD))
            made = sandbox.make_school(person, "primary", mis="sims", password=password, is_verified=True)
            fictional.owner(made.estab).password_is_ours = False
        assert steps_done(developer) == ["step-application", "step-address"]
        assert developer.page.select_one("[aria-current=step]")["id"] == "step-sign-in"

        response = stranger.web.get("/oauth/authorize", query_string=authorization_request(client))
        stranger.open(response.location)
        stranger.post(response.location, username=made.username, password=factories.PASSWORD)
        response = stranger.web.get(stranger.response.location)
        stranger.open(response.location)
        form = {name: stranger.page.find("input", {"name": name})["value"] for name in ("shown", "agreement")}
        stranger.post(response.location, authority="y", allow="yes", **form)
        response = stranger.web.get(stranger.response.location)
        code = parse_qs(urlsplit(response.location).query)["code"][0]
        assert steps_done(developer)[2:] == ["step-sign-in"]

        form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "client_id": client}
        wrong = stranger.web.post("/oauth/token", data=form | {"code": "x" * 43, "code_verifier": VERIFIER})
        assert wrong.status_code == 400
        assert steps_done(developer)[2:] == ["step-sign-in"]
        tokens = stranger.web.post("/oauth/token", data=form | {"code": code, "code_verifier": VERIFIER}).json
        assert steps_done(developer)[3:] == ["step-token"]

        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert stranger.web.get("/oauth/userinfo", headers=headers).status_code == 200
        assert stranger.web.get("/oauth/userinfo", headers=headers).status_code == 200
        assert steps_done(developer)[4:] == ["step-data"]


class TestQuickStart:
    def test_a_registered_application_has_nothing_to_register(self, developer, trial):
        developer.open(f"/developers/quick-starts/oidc-client-ts?client_id={trial}")
        assert "Already done" in developer.page_text
        assert [item.text for item in developer.page.select("#registered code")] == [CALLBACK]
        assert "Not registered yet" not in developer.page_text

    def test_a_uri_that_the_quick_start_uses_but_that_is_not_registered_is_named(self, developer, trial):
        developer.open(f"/developers/quick-starts/oidc-client-ts?client_id={trial}&address=https://app.example")
        assert "Not registered yet" in developer.page_text
        assert "https://app.example/" in developer.page.select_one(".message.warning").get_text()

    def test_the_response_to_other_partners_does_not_reveal_that_the_uri_is_registered(self, stranger, trial):
        stranger.open(f"/developers/quick-starts/oidc-client-ts?client_id={trial}")
        assert "Already done" not in stranger.page_text


def test_our_own_callback_uri_is_explained(developer, trial, transaction):
    developer.open(f"/developers/applications/{trial}")
    with transaction():
        url = sandbox.try_it_url()
        assert url in registry.find(trial).redirect_uris
    item = developer.page.find("code", string=url).parent
    assert "Try a sign-in, step by step" in item.get_text()
