"""Sandbox applications work with fictional schools only, and fictional schools with sandbox applications only."""

import json
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from idp import worker
from idp.developers import sandbox, sandbox_cli, unused_sandboxes
from idp.estabs import accounts, fictional, people
from idp.estabs.models import Estab
from idp.foundation import clock as clocks, runtime, scopes
from idp.foundation.database import session
from idp.onboarding import review
from idp.outbox import post
from idp.outbox.models import Message
from idp.partners import companies, failure_log, manifest, milestones, registry, sandbox_clients, trial_keys
from idp.partners.metadata import InvalidClientMetadata, InvalidRedirectUri
from idp.partners.models import Client
from idp.schools import search
from idp.sharing import authorise
from idp.sharing.agreement_state import current
from idp.sharing.sandbox import FictionalAndReal
from idp.signin.models import Developer
from tests import factories
from tests.code_accounts import a_developer

CALLBACK = "http://localhost:3000/callback"
PUBLIC_KEY = json.dumps(trial_keys.public_half(trial_keys.generate("ES256")))


@pytest.fixture
def sam(transaction, assembly):
    """The id of a developer of Assembly."""
    with transaction():
        return a_developer(companies.by_id(assembly), "bo@assembly.example")[0].id


class SandboxIds(NamedTuple):
    """Ids of a sandbox application and of a fictional school."""

    client: str
    estab: str


@pytest.fixture
def sandbox_ids(transaction, sam):
    """The ids of a sandbox application and of a fictional school of Assembly."""
    with transaction():
        person = session().get_one(Developer, sam)
        client, _ = sandbox.make_application(person, name="Trial", quick_start_id="authlib", address="")
        school = sandbox.make_school(
            person, "primary", mis="sims", password=sandbox.generate_password(), is_verified=True
        )
        return SandboxIds(client.id, school.estab.id)


def authorise_client(client, estab):
    """The school's owner agrees to what the client requires."""
    authorise.give(
        client, client.required_scopes, by=people.list_for_estab(estab.id)[0], agreement_version="1",
        until=clocks.now() + timedelta(days=1), offered=client.scopes,
    )  # fmt: skip


class TestIsolation:
    def test_the_partners_own_fictional_school_authorises_its_sandbox_application(self, sandbox_ids, transaction):
        client_id, estab_id = sandbox_ids
        with transaction():
            authorise_client(registry.find(client_id), session().get_one(Estab, estab_id))

    def test_a_real_school_never_authorises_a_sandbox_application(self, sandbox_ids, transaction):
        with transaction():
            real = factories.an_administrator(factories.an_estab()).memberships[0].estab
            with pytest.raises(FictionalAndReal):
                authorise_client(registry.find(sandbox_ids.client), real)

    def test_a_fictional_school_never_authorises_a_live_application(self, sandbox_ids, transaction):
        with transaction():
            live = factories.a_client(registry.partner("Assembly"))
            with pytest.raises(FictionalAndReal):
                authorise_client(live, session().get_one(Estab, sandbox_ids.estab))

    def test_a_fictional_school_never_authorises_another_partners_sandbox_application(self, sandbox_ids, transaction):
        with transaction():
            other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
            client, _ = sandbox.make_application(other, name="Other", quick_start_id="authlib", address="")
            with pytest.raises(FictionalAndReal):
                authorise_client(client, session().get_one(Estab, sandbox_ids.estab))

    def test_real_and_fictional_people_never_act_for_each_others_schools(self, sandbox_ids, transaction):
        with transaction():
            fiction = session().get_one(Estab, sandbox_ids.estab)
            real = factories.an_administrator(factories.an_estab())
            with pytest.raises(people.FictionalPerson):
                people.join(real, fiction, role="admin")
            with pytest.raises(people.FictionalPerson):
                accounts.register_for(fictional.owner(fiction).id, factories.a_school())

    def test_no_search_finds_a_fictional_school_and_none_can_be_registered(self, sandbox_ids, transaction):
        with transaction():
            school = session().get_one(Estab, sandbox_ids.estab).school
            assert school.dfe_number.startswith("999")
            for text in (school.name, "Fictional", school.dfe_number, "Nowhere"):
                assert search.find(text).results == ()
            assert not school.is_open
            assert accounts.search("Fictional") == []

    def test_a_fictional_school_is_not_in_the_verification_queue(self, sandbox_ids, transaction):
        with transaction():
            assert review.queue() == []

    @pytest.mark.parametrize(
        "names",
        [
            {"grant_types": ["authorization_code", "client_credentials"]},
            {"scopes": {"required": ["openid"], "client": ["schools.list"]}},
            {"resource": "https://api.example/", "resource_scopes": ["school"]},
        ],
    )
    def test_a_sandbox_application_is_no_resource_server_and_has_no_client_credentials(
        self, sandbox_ids, transaction, names
    ):
        with transaction(), pytest.raises(InvalidClientMetadata):
            registry.change({**manifest.from_client(registry.find(sandbox_ids.client)), **names})
        with transaction():
            assert registry.find(sandbox_ids.client).is_sandbox

    def test_a_sandbox_application_has_no_scope_that_only_our_staff_register(self, sandbox_ids, transaction):
        with transaction():
            client = registry.find(sandbox_ids.client)
            assert scopes.operators_only(client.required_scopes | client.optional_scopes) == frozenset()
            assert "attendance" in client.optional_scopes

    def test_in_production_only_sandbox_applications_may_redirect_to_localhost(
        self, sandbox_ids, transaction, monkeypatch
    ):
        with transaction():
            document = manifest.from_client(registry.find(sandbox_ids.client))
            in_production = runtime.settings().model_copy(update={"environment": "production"})
            monkeypatch.setattr(runtime, "settings", lambda: in_production)
            manifest.parse_manifest(document, is_sandbox=True)
            with pytest.raises(InvalidRedirectUri):
                manifest.parse_manifest(document)


class TestSignIn:
    def sign_in_at(self, person, client_id, username, password):
        """Begin a sign-in at the application, and sign in; returns the URL that the browser is then sent to."""
        query = {
            "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": "openid profile email",
            "code_challenge": "A" * 43, "code_challenge_method": "S256", "state": "s",
        }  # fmt: skip
        response = person.web.get("/oauth/authorize", query_string=query)
        if urlsplit(response.location).path == "/sign-in":
            person.open(response.location)
            person.post(response.location, username=username, password=password)
            response = person.web.get(person.response.location)
        return response

    def test_a_developer_makes_a_sandbox_application_and_a_fictional_school_and_signs_in(self, developer, stranger):
        developer.open("/developers/applications")
        developer.open(developer.page.find(id="sandbox")["href"])
        developer.open(developer.page.find(id="make-application")["href"])
        developer.post(
            "/developers/sandbox/applications/new", name="Trial", software="authlib", address="http://localhost:3000"
        )
        client_id = developer.page.find(id="client-id").text
        assert developer.page.find(id="client-secret").text
        developer.open("/developers/sandbox")
        developer.post("/developers/sandbox", kind="primary", mis="sims", is_verified="y")
        username, password = developer.page.find(id="estab-id").text, developer.page.find(id="password").text
        developer.open(developer.page.find(id="next")["href"])
        assert developer.page.find(attrs={"aria-current": "step"})["id"] == "step-sign-in"
        response = self.sign_in_at(stranger, client_id, username, password)
        assert urlsplit(response.location).path == "/oauth/consent"
        page = stranger.open(response.location)
        assert "Fictional Primary School 1" in stranger.page_text
        assert "Someone else decides" not in stranger.page_text
        assert page.status_code == 200

    def test_an_application_may_have_a_key_instead_of_a_secret(self, developer, transaction):
        developer.open("/developers/sandbox/applications/new")
        developer.post(
            "/developers/sandbox/applications/new", name="Trial", software="openid-client", security="fapi2",
            address="http://localhost:3000", jwks=PUBLIC_KEY,
        )  # fmt: skip
        client_id = developer.page.find(id="client-id").text
        assert developer.page.find(id="client-secret") is None
        with transaction():
            client = session().get_one(Client, client_id)
            assert (client.profile, client.token_endpoint_auth_method) == ("fapi2", "private_key_jwt")
            assert client.jwks == {"keys": [json.loads(PUBLIC_KEY)]}

    def test_a_quick_start_leads_to_the_form_for_its_software(self, developer):
        developer.open("/developers/quick-starts/openid-client-fapi2?address=https://assembly.example")
        developer.open(developer.page.find(id="make-application")["href"])
        assert developer.page.find("option", selected=True)["value"] == "openid-client-fapi2"
        assert developer.page.find(id="address")["value"] == "https://assembly.example"

    @pytest.mark.parametrize(
        ("software", "security", "profile"),
        [
            ("authlib-key", "", "oidc"), ("authlib-key", "fapi2", "fapi2"),
            ("openid-client-fapi2", "", "fapi2"), ("openid-client-fapi2", "private_key_jwt", "oidc"),
        ],
    )  # fmt: skip
    def test_software_with_a_key_has_its_own_profile_unless_another_is_chosen(
        self, developer, transaction, software, security, profile
    ):
        developer.open("/developers/sandbox/applications/new")
        developer.post(
            "/developers/sandbox/applications/new", name="Trial", software=software, security=security,
            address="http://localhost:3000", jwks=PUBLIC_KEY,
        )  # fmt: skip
        with transaction():
            client = session().get_one(Client, developer.page.find(id="client-id").text)
            assert (client.profile, client.token_endpoint_auth_method) == (profile, "private_key_jwt")

    def test_a_real_schools_person_is_sent_back_from_a_sandbox_application_with_access_denied(
        self, sandbox_ids, stranger, account
    ):
        response = self.sign_in_at(stranger, sandbox_ids.client, account.username, factories.PASSWORD)
        parts = urlsplit(response.location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
        assert parse_qs(parts.query)["error"] == ["access_denied"]

    def test_the_sign_in_page_says_that_it_is_a_test(self, sandbox_ids, stranger):
        query = {
            "response_type": "code", "client_id": sandbox_ids.client, "redirect_uri": CALLBACK, "scope": "openid",
            "code_challenge": "A" * 43, "code_challenge_method": "S256", "prompt": "create",
        }  # fmt: skip
        response = stranger.web.get("/oauth/authorize", query_string=query)
        stranger.open(response.location)
        assert "please do not sign in" in stranger.page_text
        assert "Trial" not in stranger.page_text

    @pytest.fixture
    def alex(self, sandbox_ids, stranger, transaction):
        """The person of the fictional school, signed in."""
        with transaction():
            owner = fictional.owner(session().get_one(Estab, sandbox_ids.estab))
            owner.password_hash, owner.password_is_ours = runtime.passwords().hash(factories.PASSWORD), False
            username = owner.username
        stranger.submit("/sign-in", username=username, password=factories.PASSWORD)
        return stranger

    def test_a_fictional_person_does_not_count_as_signed_in_at_a_live_application(self, alex, transaction):
        with transaction():
            live = factories.a_client(registry.partner("Assembly"), redirect_uris=[CALLBACK]).id
        query = {
            "response_type": "code", "client_id": live, "redirect_uri": CALLBACK, "scope": "openid", "prompt": "none",
            "code_challenge": "A" * 43, "code_challenge_method": "S256",
        }  # fmt: skip
        response = alex.web.get("/oauth/authorize", query_string=query)
        assert parse_qs(urlsplit(response.location).query)["error"] == ["login_required"]

    @pytest.mark.parametrize(
        "path",
        ["/manage/people", "/manage/account", "/manage/account/email", "/manage/account/mobile"],
    )
    def test_pages_that_send_messages_are_closed_to_fictional_people(self, alex, path):
        assert alex.open(path).status_code == 404

    def test_the_pages_about_sharing_are_open_to_fictional_people(self, alex):
        assert alex.open("/manage").status_code == 200
        assert alex.open("/manage/security").status_code == 200
        assert [link.text for link in alex.page.select("nav.account a")] == ["Your school", "Security", "Sign out"]

    def test_no_message_is_sent_to_fictional_people(self, sandbox_ids, transaction):
        with transaction():
            authorise_client(registry.find(sandbox_ids.client), session().get_one(Estab, sandbox_ids.estab))
        with transaction():
            receipt = session().scalars(select(Message).where(Message.name == "sharing_receipt")).one()
            assert (receipt.recipient, receipt.sealed) == (None, None)
            assert receipt.sent_at is not None


class TestConsole:
    def test_the_applications_are_listed_with_their_state_and_what_can_be_done(
        self, developer, sandbox_ids, transaction, assembly
    ):
        with transaction():
            factories.a_client(companies.by_id(assembly), id="live", client_name="Live Connector")
            other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
            sandbox.make_application(other, name="Theirs", quick_start_id="authlib", address="")
        developer.open("/developers/sandbox")
        for path in (
            f"/developers/applications/{sandbox_ids.client}",
            f"/developers/applications/{sandbox_ids.client}/try-it",
            f"/developers/sandbox/applications/{sandbox_ids.client}/remove",
        ):
            assert developer.page.find("main").find("a", href=path), path
        assert f"Trial (sandbox) active Client id {sandbox_ids.client}" in developer.page_text
        assert "Live Connector" not in developer.page_text
        assert "Theirs" not in developer.page_text
        with transaction():
            registry.disable(sandbox_ids.client, by="cli")
        developer.open("/developers/sandbox")
        assert "Trial (sandbox) disabled by us" in developer.page_text
        assert developer.page.find(id=f"try-{sandbox_ids.client}") is None
        developer.open(f"/developers/sandbox/applications/{sandbox_ids.client}/remove")
        developer.post(f"/developers/sandbox/applications/{sandbox_ids.client}/remove")
        developer.open("/developers/sandbox")
        assert "You have none yet. Make one for the software that you use" in developer.page_text

    def test_an_application_without_our_redirect_uri_has_no_link_to_try_it(self, developer, sandbox_ids, transaction):
        with transaction():
            document = manifest.from_client(registry.find(sandbox_ids.client))
            registry.change({**document, "redirect_uris": [CALLBACK]}, by="cli")
        developer.open("/developers/sandbox")
        assert developer.page.find(id=f"try-{sandbox_ids.client}") is None

    def test_the_link_to_make_an_application_is_hidden_at_the_limit(self, developer, sandbox_ids, monkeypatch):
        assert developer.open("/developers/sandbox").status_code == 200
        assert developer.page.find(id="make-application")
        monkeypatch.setattr(sandbox, "MAX_APPLICATIONS", 1)
        developer.open("/developers/sandbox")
        assert developer.page.find(id="make-application") is None
        assert "You can have 1" in developer.page_text

    def test_another_partners_schools_are_neither_listed_nor_changed(self, developer, transaction):
        with transaction():
            other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
            password = ("x", runtime.passwords().hash(factories.PASSWORD))
            other_school = sandbox.make_school(other, "primary", mis="sims", password=password, is_verified=False)
            estab_id = other_school.estab.estab_id
        developer.open("/developers/sandbox")
        assert "Fictional" not in developer.page.find("main").find(id="schools").find_next("p").text
        for action in ("password", "verify"):
            path = f"/developers/sandbox/schools/{estab_id}/{action}"
            assert developer.web.post(path, data={"csrf_token": developer.token}).status_code == 404

    def test_a_school_is_left_unverified_and_verified_later(self, developer, transaction):
        developer.submit("/developers/sandbox", kind="secondary", mis="arbor")
        username = developer.page.find(id="estab-id").text
        developer.open("/developers/sandbox")
        assert "unverified" in developer.page_text
        for _ in range(2):
            developer.post(f"/developers/sandbox/schools/{username}/verify")
            assert developer.response.status_code == 303
            developer.open("/developers/sandbox")
        with transaction():
            assert accounts.find(username).is_verified

    def test_a_new_password_replaces_the_former(self, developer, sandbox_ids, stranger, transaction):
        with transaction():
            estab_id = session().get_one(Estab, sandbox_ids.estab).estab_id
        developer.open("/developers/sandbox")
        developer.post(f"/developers/sandbox/schools/{estab_id}/password")
        password = developer.page.find(id="password").text
        stranger.submit("/sign-in", username=estab_id, password=password)
        assert stranger.response.status_code == 303

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"name": ""}, "Type a name"),
            ({"software": ""}, "Choose the software"),
            ({"address": "http://assembly.example"}, "must be https"),
            ({"address": "http://localhost:3000/a"}, "must end after the host"),
            ({"name": "IDaaS"}, "must not be, or look like"),
            ({"security": "fapi2"}, "Paste the public half of its key"),
            ({"security": "fapi2", "jwks": "no JSON"}, "This is not JSON"),
            ({"security": "fapi2", "jwks": '{"kty": "EC"}'}, "has a key that cannot be read"),
            ({"security": "fapi2", "jwks": '{"kty": "EC", "d": "x"}'}, "There is a private key in this"),
            ({"jwks": '{"kty": "EC"}'}, "Leave this empty"),
            (
                {"security": "fapi2", "jwks": PUBLIC_KEY, "address": "http://127.0.0.1:3000"},
                "The URL must be https, or http://localhost with a port, for the profile fapi2.",
            ),
        ],
    )
    def test_an_invalid_sandbox_application_is_explained_and_not_made(self, developer, transaction, fields, reason):
        values = {"name": "Trial", "software": "authlib", "address": "http://localhost:3000"} | fields
        developer.submit("/developers/sandbox/applications/new", **values)
        assert developer.response.status_code == 422
        assert reason in developer.page_text
        with transaction():
            assert session().scalars(select(Client)).all() == []

    def test_the_numbers_of_sandbox_applications_and_fictional_schools_are_limited(self, transaction, sam, monkeypatch):
        monkeypatch.setattr(sandbox, "MAX_APPLICATIONS", 1)
        monkeypatch.setattr(fictional, "MAX_SCHOOLS", 1)
        with transaction():
            person, password = session().get_one(Developer, sam), ("x", runtime.passwords().hash(factories.PASSWORD))

            def make_application():
                return sandbox.make_application(person, name="Trial", quick_start_id="authlib", address="")

            def make_school():
                return sandbox.make_school(person, "primary", mis="sims", password=password, is_verified=True)

            make_application()
            make_school()
            with pytest.raises(sandbox.TooManyApplications):
                make_application()
            with pytest.raises(fictional.TooManyFictionalSchools):
                make_school()

    def test_each_piece_of_software_can_be_chosen(self, transaction, sam, monkeypatch):
        monkeypatch.setattr(sandbox, "MAX_APPLICATIONS", 100)
        with transaction():
            person = session().get_one(Developer, sam)
            for software in sandbox.software():
                key = (
                    {"security": "private_key_jwt", "jwks": {"keys": [json.loads(PUBLIC_KEY)]}}
                    if software.has_key
                    else {}
                )
                client, _ = sandbox.make_application(
                    person, name="Trial", quick_start_id=software.id, address="", **key
                )
                assert sandbox.has_try_it(client)
                assert client.client_scopes == frozenset()


class TestRemoving:
    def test_a_removed_application_is_refused_and_no_longer_counts_for_the_limit(
        self, developer, sandbox_ids, transaction, stranger
    ):
        developer.open(f"/developers/applications/{sandbox_ids.client}")
        developer.open(developer.page.find(id="remove-application")["href"])
        developer.post(f"/developers/sandbox/applications/{sandbox_ids.client}/remove")
        assert developer.response.location == "/developers/applications"
        developer.open("/developers/applications")
        assert sandbox_ids.client not in developer.response.text
        assert developer.open(f"/developers/applications/{sandbox_ids.client}").status_code == 404
        with transaction():
            client = registry.find(sandbox_ids.client)
            assert not client.enabled
            assert registry.secrets_of(client.id) == []
            failure_log.record(client.id, failure_log.Failure("POST /oauth/token", "invalid_client", "", "removed"))
            assert failure_log.newest(client.id) == []
            assert client.id not in {listed.id for listed in companies.applications_of(client.partner_id)}
            with pytest.raises(registry.UnknownClient):
                registry.enable(client.id, by="cli")

    def test_a_live_application_is_not_removed(self, developer, transaction, assembly):
        with transaction():
            live = factories.a_client(companies.by_id(assembly), id="live").id
        path = f"/developers/sandbox/applications/{live}/remove"
        assert developer.open(path).status_code == 404
        developer.open("/developers/people")
        assert developer.post(path).status_code == 404
        with transaction():
            assert registry.find(live).enabled

    def test_the_person_of_a_removed_school_is_signed_out_and_cannot_sign_in(
        self, developer, sandbox_ids, transaction, stranger
    ):
        with transaction():
            estab = session().get_one(Estab, sandbox_ids.estab)
            owner, estab_id = fictional.owner(estab), estab.estab_id
            owner.password_hash, owner.password_is_ours = runtime.passwords().hash(factories.PASSWORD), False
        stranger.submit("/sign-in", username=estab_id, password=factories.PASSWORD)
        assert stranger.is_signed_in()
        developer.open("/developers/sandbox")
        developer.open(developer.page.find(id=f"remove-{estab_id}")["href"])
        assert "Remove Fictional Primary School 1?" in developer.page_text
        assert stranger.is_signed_in()
        developer.post(f"/developers/sandbox/schools/{estab_id}/remove")
        assert developer.response.location == "/developers/sandbox"
        assert not stranger.is_signed_in()
        stranger.submit("/sign-in", username=estab_id, password=factories.PASSWORD)
        assert not stranger.is_signed_in()
        developer.open("/developers/sandbox")
        assert estab_id not in developer.response.text

    def test_removing_a_fictional_school_lists_what_ends_with_it(self, developer, sandbox_ids, transaction):
        with transaction():
            estab = session().get_one(Estab, sandbox_ids.estab)
            path = f"/developers/sandbox/schools/{estab.estab_id}/remove"
        developer.open(path)
        assert "It has authorised no application" in developer.page_text
        with transaction():
            authorise_client(registry.find(sandbox_ids.client), session().get_one(Estab, sandbox_ids.estab))
        developer.open(path)
        assert "It has authorised Trial (sandbox):" in developer.page_text
        with transaction():
            assert current(sandbox_ids.estab, sandbox_ids.client).is_in_force
        developer.post(path)
        with transaction():
            assert not current(sandbox_ids.estab, sandbox_ids.client).is_in_force
        assert developer.open(path).status_code == 404

    def test_another_partners_applications_and_schools_cannot_be_removed(self, developer, transaction):
        with transaction():
            other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
            client, _ = sandbox.make_application(other, name="Trial", quick_start_id="authlib", address="")
            theirs = sandbox.make_school(other, "primary", mis="sims", password=("x", "x"), is_verified=True)
            paths = [f"applications/{client.id}", f"schools/{theirs.estab.estab_id}"]
        for path in paths:
            assert developer.open(f"/developers/sandbox/{path}/remove").status_code == 404
            developer.open("/developers/people")
            assert developer.post(f"/developers/sandbox/{path}/remove").status_code == 404

    def test_the_daily_limit_counts_removed_ones_too(self, transaction, sam, monkeypatch, clock):
        monkeypatch.setattr(sandbox, "MAX_APPLICATIONS", 1)
        monkeypatch.setattr(fictional, "MAX_SCHOOLS", 1)
        with transaction():
            person = session().get_one(Developer, sam)

            def make():
                client, _ = sandbox.make_application(person, name="Trial", quick_start_id="authlib", address="")
                school = sandbox.make_school(person, "primary", mis="sims", password=("x", "x"), is_verified=True)
                sandbox.remove_application(person, client.id)
                sandbox.remove_school(person, school.estab.estab_id)

            make()
            with pytest.raises(sandbox.TooManyApplications):
                make()
            with pytest.raises(fictional.TooManyFictionalSchools):
                sandbox.make_school(person, "primary", mis="sims", password=("x", "x"), is_verified=True)
            clock.move(timedelta(days=1, seconds=1))
            make()


class TestUnused:
    def test_an_unused_sandbox_is_removed_two_weeks_after_a_mail(self, sandbox_ids, transaction, outbox, clock):
        worker.remove_unused(transaction)
        assert outbox.all("sandbox_unused") == []
        clock.move(timedelta(days=167))
        for _ in range(2):
            worker.remove_unused(transaction)
        (mail,) = [mail for mail in outbox.all("sandbox_unused") if mail.to == "bo@assembly.example"]
        assert "Trial (sandbox)" in mail.text
        assert "Fictional Primary School 1" in mail.text
        with transaction():
            assert registry.find(sandbox_ids.client).enabled
        clock.move(timedelta(days=15))
        worker.remove_unused(transaction)
        with transaction():
            assert registry.find(sandbox_ids.client).removed_at is not None
            assert session().get_one(Estab, sandbox_ids.estab).state == "closed"

    def test_a_sandbox_that_is_used_after_the_mail_is_kept(self, sandbox_ids, transaction, outbox, clock):
        clock.move(timedelta(days=167))
        worker.remove_unused(transaction)
        with transaction():
            milestones.note(registry.find(sandbox_ids.client), "token")
            people.list_for_estab(sandbox_ids.estab)[0].signed_in_at = clocks.now()
        clock.move(timedelta(days=15))
        worker.remove_unused(transaction)
        with transaction():
            assert registry.find(sandbox_ids.client).removed_at is None
            assert session().get_one(Estab, sandbox_ids.estab).state == "verified"

    def test_a_mail_from_before_the_last_use_does_not_count(self, sandbox_ids, transaction, outbox, clock, monkeypatch):
        monkeypatch.setattr(unused_sandboxes, "_period", lambda: timedelta(days=30))
        clock.move(timedelta(days=17))
        worker.remove_unused(transaction)
        clock.move(timedelta(days=1))
        with transaction():
            milestones.note(registry.find(sandbox_ids.client), "token")
            people.list_for_estab(sandbox_ids.estab)[0].signed_in_at = clocks.now()
        for days in (17, 13):
            clock.move(timedelta(days=days))
            worker.remove_unused(transaction)
            assert len([mail for mail in outbox.all("sandbox_unused") if mail.to == "bo@assembly.example"]) == 2
            with transaction():
                assert registry.find(sandbox_ids.client).removed_at is None
                assert session().get_one(Estab, sandbox_ids.estab).state == "verified"
        clock.move(timedelta(days=2))
        worker.remove_unused(transaction)
        with transaction():
            assert registry.find(sandbox_ids.client).removed_at is not None
            assert session().get_one(Estab, sandbox_ids.estab).state == "closed"

    def test_a_sandbox_that_is_used_during_its_removal_is_kept(self, sandbox_ids, transaction, clock, monkeypatch):
        clock.move(timedelta(days=167))
        worker.remove_unused(transaction)
        clock.move(timedelta(days=15))
        list_unused = sandbox_clients.list_unused

        def list_and_use(*args, **named):
            """List the unused applications, and use one of them before it is removed."""
            ids = list_unused(*args, **named)
            milestones.note(registry.find(sandbox_ids.client), "token")
            people.list_for_estab(sandbox_ids.estab)[0].signed_in_at = clocks.now()
            return ids

        monkeypatch.setattr(sandbox_clients, "list_unused", list_and_use)
        monkeypatch.setattr(fictional, "list_unused", lambda *_, **__: [sandbox_ids.estab])
        worker.remove_unused(transaction)
        with transaction():
            assert registry.find(sandbox_ids.client).removed_at is None
            assert session().get_one(Estab, sandbox_ids.estab).state == "verified"

    def test_a_sandbox_that_cannot_be_removed_does_not_delay_the_others(
        self, sandbox_ids, sam, transaction, clock, monkeypatch
    ):
        with transaction():
            person = session().get_one(Developer, sam)
            other, _ = sandbox.make_application(person, name="Other", quick_start_id="authlib", address="")
            first, second = sorted([sandbox_ids.client, other.id])
        clock.move(timedelta(days=167))
        worker.remove_unused(transaction)
        clock.move(timedelta(days=15))
        monkeypatch.setattr(unused_sandboxes, "BATCH_SIZE", 1)
        remove = sandbox.remove_application

        def fail_for_the_first(actor, client_id):
            if client_id == first:
                raise RuntimeError("cannot be removed")
            return remove(actor, client_id)

        monkeypatch.setattr(sandbox, "remove_application", fail_for_the_first)
        worker.remove_unused(transaction)
        with transaction():
            assert [registry.find(id_).removed_at is None for id_ in (first, second)] == [True, False]
            assert session().get_one(Estab, sandbox_ids.estab).state == "closed"

    def test_no_sandbox_is_removed_before_its_mail_is_written(
        self, sandbox_ids, transaction, outbox, clock, monkeypatch
    ):
        def fail(*_, **__):
            raise RuntimeError("no mail")

        clock.move(timedelta(days=167))
        with monkeypatch.context() as patch:
            patch.setattr(post, "email", fail)
            worker.remove_unused(transaction)
        clock.move(timedelta(days=15))
        worker.remove_unused(transaction)
        with transaction():
            assert registry.find(sandbox_ids.client).removed_at is None
        assert outbox.all("sandbox_unused")

    def test_of_several_workers_one_mails(self, sandbox_ids, transaction, outbox, clock, run_concurrently):
        clock.move(timedelta(days=167))
        assert run_concurrently(4, unused_sandboxes.mail_due) == [None] * 4
        assert sorted(mail.to for mail in outbox.all("sandbox_unused")) == [
            "bo@assembly.example", "developers@assembly.example",
        ]  # fmt: skip

    def test_live_applications_and_real_schools_are_never_removed(self, transaction, assembly, account, outbox, clock):
        with transaction():
            factories.a_client(companies.by_id(assembly), id="live")
        for _ in range(2):
            clock.move(timedelta(days=400))
            worker.remove_unused(transaction)
        with transaction():
            assert registry.find("live").enabled
        assert outbox.all("sandbox_unused") == []


class TestCommands:
    @pytest.fixture
    def idp(self, app):
        """`idp("list", "Assembly")` runs `idp sandbox list Assembly`; returns the output."""

        def run(*arguments):
            done = CliRunner().invoke(sandbox_cli.commands, arguments, obj=lambda: app)
            assert done.exit_code == 0, done.output
            return done.output

        return run

    def test_commands_make_use_and_remove_applications_and_schools(self, idp, assembly, transaction):
        application = json.loads(idp("add-application", "Assembly", "Trial", "--software", "authlib", "--json"))
        school = json.loads(idp("add-school", "Assembly", "--unverified", "--json"))
        assert application["client_secret"]
        assert school["password"]
        listed = json.loads(idp("list", "Assembly", "--json"))
        assert [(row["kind"], row["state"]) for row in listed] == [("application", "works"), ("school", "unverified")]
        idp("verify-school", "Assembly", school["estab_id"])
        again = json.loads(idp("school-password", "Assembly", school["estab_id"], "--json"))
        assert again["password"] != school["password"]
        with transaction():
            assert accounts.find(school["estab_id"]).is_verified
        idp("remove-application", "Assembly", application["client_id"])
        idp("remove-school", "Assembly", school["estab_id"])
        assert json.loads(idp("list", "Assembly", "--json")) == []

    def test_an_application_with_a_key_is_made_from_a_file(self, app, idp, assembly, transaction, tmp_path):
        (tmp_path / "jwks.json").write_text(PUBLIC_KEY, "utf-8")
        key = ["--software", "authlib-key", "--jwks", str(tmp_path / "jwks.json")]
        application = json.loads(idp("add-application", "Assembly", "Trial", *key, "--json"))
        assert application["client_secret"] is None
        with transaction():
            assert registry.find(application["client_id"]).jwks == {"keys": [json.loads(PUBLIC_KEY)]}
        without_key = ["--software", "authlib", *key[2:]]
        for wrong in (without_key, ["--software", "authlib-key"], ["--software", "authlib", "--security", "fapi2"]):
            done = CliRunner().invoke(
                sandbox_cli.commands, ["add-application", "Assembly", "Other", *wrong], obj=lambda: app
            )
            assert done.exit_code != 0, done.output

    def test_another_companys_application_is_not_removed(self, sandbox_ids, app, transaction):
        with transaction():
            factories.a_partner(name="Timetabler")
        done = CliRunner().invoke(
            sandbox_cli.commands, ["remove-application", "Timetabler", sandbox_ids.client], obj=lambda: app
        )
        assert done.exit_code == 1
        assert "no sandbox application" in done.output
