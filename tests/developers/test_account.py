"""A partner's developers: invitations, signing in with a code, and access to their own company's applications only."""

import json
from datetime import timedelta
from typing import NamedTuple

import pyotp
import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey
from sqlalchemy import select

from idp.cli import main
from idp.developers import applications
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.partner_events import streams
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types, failure_log, manifest, registry
from idp.partners.models import Client
from idp.signin import developers
from idp.signin.code_accounts import DEVELOPERS
from idp.signin.models import Developer
from tests import factories

PASSWORD = "wobbly kettle sings at dusk"
EMAIL = "sam@assembly.example"
URIS = {"version": "1", "redirect_uris": "https://assembly.example/new", "post_logout_redirect_uris": ""}


def a_key(kid):
    return ECKey.generate_key("P-256", parameters={"kid": kid}).as_dict(private=False)


class PartnerIds(NamedTuple):
    """The ids of a partner and of its application."""

    partner: str
    client: str


@pytest.fixture
def partner(transaction, clock):
    """The partner Assembly with its application; there is another partner, Timetabler, with another."""
    with transaction():
        client = factories.a_client(factories.a_partner(name="Assembly"), id="assembly", client_name="Assembly")
        factories.a_client(factories.a_partner(name="Timetabler"), id="timetabler", client_name="Timetabler")
        return PartnerIds(client.partner_id, client.id)


def invite(transaction, outbox, email=EMAIL, *, company="Assembly", is_owner=True):
    """Invite a developer; returns the path of the link in the mail."""
    with transaction():
        developers.invite(registry.partner(company), "Sam Lee", email, is_owner=is_owner, by="cli")
    return outbox.last("developer_invitation").path


def set_up(person, link):
    """Follow the link, and set a password and an authenticator app; returns the seed of the app."""
    person.submit(link)
    seed = person.page.find(id="seed").text.replace(" ", "")
    person.post(link, finish="yes", password=PASSWORD, code=pyotp.TOTP(seed).at(clocks.timestamp()))
    assert person.response.location == "/developers/applications"
    return seed


def sign_in(person, seed, email=EMAIL):
    """Sign in half a minute later: each code of the authenticator app works once."""
    clocks.move(timedelta(seconds=30))
    return person.submit(
        "/developers/sign-in", email=email, password=PASSWORD, code=pyotp.TOTP(seed).at(clocks.timestamp())
    )


@pytest.fixture
def sam(jo, partner, transaction, outbox):
    """An owner of Assembly's account, signed in."""
    seed = set_up(jo, invite(transaction, outbox))
    assert sign_in(jo, seed).location == "/developers/applications"
    jo.seed = seed
    return jo


@pytest.fixture
def al(stranger, partner, transaction, outbox):
    """A developer of Timetabler, signed in."""
    seed = set_up(stranger, invite(transaction, outbox, "al@timetabler.example", company="Timetabler"))
    sign_in(stranger, seed, "al@timetabler.example")
    return stranger


def test_an_invited_person_sees_the_applications_of_their_company_alone(sam):
    sam.open("/developers/applications")
    assert [link.text for link in sam.page.select("th a")] == ["Assembly"]
    sam.open("/developers/applications/assembly")
    assert "Client id assembly" in sam.page_text


class TestAuthorisation:
    PAGES = ("", "/addresses", "/keys")
    POSTS = ("/secret", "/addresses", "/keys", "/events/evt_1/replay")

    @pytest.mark.parametrize("path", PAGES)
    def test_another_companys_application_is_not_found(self, al, path):
        for client_id in ("assembly", "nothing", "a\x7fb"):
            assert al.open(f"/developers/applications/{client_id}{path}").status_code == 404

    @pytest.mark.parametrize("path", POSTS)
    def test_another_companys_application_cannot_be_changed(self, al, transaction, path):
        al.open("/developers/people")
        form = {"csrf_token": al.token, "overlap": "0", **URIS}
        assert al.web.post(f"/developers/applications/assembly{path}", data=form).status_code == 404
        with transaction():
            assert session().get_one(Client, "assembly").version == 1

    @pytest.mark.parametrize("path", ["/applications", "/applications/assembly", "/people"])
    def test_the_pages_require_a_sign_in(self, stranger, partner, path):
        response = stranger.open(f"/developers{path}")
        assert response.status_code == 303
        assert response.location.startswith("/developers/sign-in?next=")

    def test_a_person_signed_in_for_a_school_is_sent_to_the_developers_sign_in(self, jo, partner, account):
        jo.submit("/sign-in", username=account.username, password=factories.PASSWORD)
        assert jo.open("/developers/applications").location.startswith("/developers/sign-in")

    def test_a_developer_is_neither_an_operator_nor_of_a_school(self, sam):
        assert sam.open("/operate").status_code == 404
        assert sam.open("/manage").status_code == 404

    def test_a_developers_password_opens_no_page_of_operators(self, sam):
        clocks.move(timedelta(seconds=30))
        code = pyotp.TOTP(sam.seed).at(clocks.timestamp())
        sam.submit("/operate/sign-in", email=EMAIL, password=PASSWORD, code=code)
        assert "do not match" in sam.page_text

    def test_people_of_another_company_cannot_be_removed(self, al, sam, transaction):
        with transaction():
            (sams_id,) = [developer.id for developer in developers.list_for_partner(registry.partner("Assembly").id)]
        al.open("/developers/people")
        assert EMAIL not in al.page_text
        response = al.web.post(f"/developers/people/{sams_id}/remove", data={"csrf_token": al.token})
        assert response.status_code == 404
        assert sam.open("/developers/applications").status_code == 200

    def test_only_owners_invite_and_remove(self, jo, partner, transaction, outbox):
        with transaction():
            company = registry.partner("Assembly")
            sams_id = developers.invite(company, "Sam", EMAIL, is_owner=True, by="cli").id
        clocks.move(timedelta(seconds=1))
        seed = set_up(jo, invite(transaction, outbox, "bo@assembly.example", is_owner=False))
        sign_in(jo, seed, "bo@assembly.example")
        jo.open("/developers/people")
        assert jo.page.find(id="invite") is None
        jo.open("/developers/applications/assembly")
        form = {"csrf_token": jo.token, "name": "X", "email": "x@assembly.example"}
        assert jo.web.post("/developers/people", data=form).status_code == 404
        assert jo.web.post(f"/developers/people/{sams_id}/remove", data=form).status_code == 404

    def test_the_developers_of_a_disabled_partner_are_signed_out(self, sam, transaction):
        with transaction():
            registry.switch_partner("Assembly", on=False)
        assert sam.open("/developers/applications").status_code == 303


def test_a_new_secret_is_shown_once_and_the_former_works_for_the_time_chosen(sam, transaction):
    sam.open("/developers/applications/assembly")
    sam.post("/developers/applications/assembly/secret", overlap="7")
    secret = sam.page.find(id="client-secret").text
    assert sam.response.headers["Cache-Control"] == "no-store"
    with transaction():
        rows = registry.secrets_of("assembly")
        assert registry.secret_matches(registry.client("assembly"), secret)
        assert rows[0].expires_at == clocks.now() + timedelta(days=7)
    sam.open("/developers/applications/assembly")
    assert secret not in sam.response.text


def test_a_period_of_overlap_that_is_not_offered_is_refused(sam, transaction):
    sam.open("/developers/applications/assembly")
    assert (
        sam.web.post(
            "/developers/applications/assembly/secret", data={"csrf_token": sam.token, "overlap": "4000"}
        ).status_code
        == 400
    )
    with transaction():
        assert len(registry.secrets_of("assembly")) == 1


def test_the_number_of_new_secrets_is_limited(sam, transaction):
    for _ in range(12):
        sam.open("/developers/applications/assembly")
        sam.web.post("/developers/applications/assembly/secret", data={"csrf_token": sam.token, "overlap": "0"})
    sam.open("/developers/applications/assembly")
    assert "many new secrets today" in sam.page_text
    with transaction():
        assert len(registry.secrets_of("assembly")) <= 11


class TestUris:
    def test_redirect_uris_are_changed_and_nothing_else_is(self, sam, transaction):
        with transaction():
            before = manifest.from_client(registry.find("assembly"))
        sam.submit("/developers/applications/assembly/addresses", **URIS)
        assert sam.response.status_code == 303
        with transaction():
            after = manifest.from_client(registry.find("assembly"))
        assert after["redirect_uris"] == ["https://assembly.example/new"]
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert changed <= {"redirect_uris", "post_logout_redirect_uris"}

    def test_the_error_of_a_wrong_uri_names_its_line_and_keeps_what_was_typed(self, sam, transaction):
        typed = "https://assembly.example/a\nhttp://assembly.example/b"
        sam.submit("/developers/applications/assembly/addresses", version="1", redirect_uris=typed)
        assert sam.response.status_code == 422
        assert "Line 2 must be https" in sam.page_text
        assert sam.page.find(id="redirect_uris").text.strip().splitlines() == typed.splitlines()
        with transaction():
            assert registry.find("assembly").version == 1

    def test_of_two_people_the_second_is_told_that_the_first_changed_it(self, sam, transaction):
        path = "/developers/applications/assembly/addresses"
        sam.open(path)
        with transaction():
            registry.bump_version(registry.find("assembly"))
        sam.post(path, **URIS)
        assert "Someone else has changed this application" in sam.page_text
        with transaction():
            assert "https://assembly.example/new" not in registry.find("assembly").redirect_uris


class TestKeys:
    PATH = "/developers/applications/signer/keys"

    @pytest.fixture
    def signer(self, transaction, partner):
        """Registers an application that authenticates by a key; returns the public key."""
        key = a_key("2026-01")
        with transaction():
            factories.a_client(
                registry.partner("Assembly"), id="signer", token_endpoint_auth_method="private_key_jwt",
                jwks={"keys": [key]},
            )  # fmt: skip
        return key

    def test_two_keys_can_be_registered_during_a_rotation(self, sam, signer, transaction, outbox):
        key_set = {"keys": [signer, a_key("2026-02")]}
        sam.open("/developers/applications/signer")
        sam.open(sam.page.find(id="change-keys")["href"])
        assert json.loads(sam.page.find(id="jwks").text) == {"keys": [signer]}
        sam.post(self.PATH, version=1, jwks=json.dumps(key_set))
        assert sam.response.status_code == 303
        with transaction():
            assert registry.find("signer").jwks == key_set
        assert "Its keys were changed" in outbox.last("client_changed").text

    def test_a_jwks_uri_replaces_registered_keys(self, sam, signer, transaction):
        sam.submit(self.PATH, version=1, jwks_uri="https://assembly.example/jwks", jwks="")
        with transaction():
            assert (registry.find("signer").jwks, registry.find("signer").jwks_uri) == (
                None, "https://assembly.example/jwks",
            )  # fmt: skip

    def test_a_private_key_is_refused_and_not_shown_again(self, sam, signer, transaction):
        private = ECKey.generate_key("P-256").as_dict(private=True)
        for typed in ({"keys": [private]}, private):
            sam.submit(self.PATH, version=1, jwks=json.dumps(typed))
            assert sam.response.status_code == 422
            assert "Do not use that key any more" in sam.page_text
            assert private["d"] not in sam.response.text
        with transaction():
            assert registry.find("signer").jwks == {"keys": [signer]}

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"jwks": "not JSON"}, "not JSON"),
            ({"jwks": "[" * 40_000}, "not JSON"),
            ({"jwks": "[]"}, "not a JSON object"),
            ({"jwks": '{"keys": []}'}, "1 to 20 keys"),
            ({"jwks": '{"keys": [{"kty": "EC", "kid": "\\u0000"}]}'}, "cannot be read"),
            ({"jwks": '{"keys": 5}'}, "1 to 20 keys"),
            ({"jwks": ""}, "one of the two"),
            ({"jwks": "{}", "jwks_uri": "https://assembly.example/jwks"}, "one of the two"),
            ({"jwks": "", "jwks_uri": "http://assembly.example/jwks"}, "Must be https"),
        ],
    )
    def test_an_invalid_registration_is_explained(self, sam, signer, transaction, fields, reason):
        sam.submit(self.PATH, version=1, **fields)
        assert sam.response.status_code == 422
        assert reason in sam.page_text
        with transaction():
            assert registry.find("signer").jwks == {"keys": [signer]}

    def test_of_two_people_the_second_is_told_that_the_first_changed_them(self, sam, signer, transaction):
        sam.open(self.PATH)
        with transaction():
            registry.bump_version(registry.find("signer"))
        sam.post(self.PATH, version=1, jwks=json.dumps({"keys": [a_key("2026-02")]}))
        assert "Someone else has changed this application" in sam.page_text


def test_the_manifest_of_a_client_is_the_one_it_was_registered_from(transaction, partner):
    with transaction():
        client = registry.find("assembly")
        columns = manifest.parse_manifest(manifest.from_client(client)).columns()
        assert {name: value for name, value in columns.items() if getattr(client, name) != value} == {}


def test_the_log_has_the_parameter_and_the_difference(sam, transaction):
    difference = {
        "sent": "https://assembly.example/callback/", "registered": "https://assembly.example/callback",
        "differs_in": ["path"],
    }  # fmt: skip
    with transaction():
        failure = failure_log.Failure(
            "GET /oauth/authorize", "invalid_request", "redirect_uri", "is not registered", (difference,)
        )
        failure_log.record("assembly", failure)
        failure_log.record("assembly", failure)
        failure_log.record(
            "timetabler", failure_log.Failure("POST /oauth/token", "invalid_client", "", "of another company")
        )
    sam.open("/developers/applications/assembly")
    assert "redirect_uri : is not registered" in sam.page_text
    assert "Sent: https://assembly.example/callback/" in sam.page_text
    assert "differs in path" in sam.page_text
    assert "2 times since" in sam.page_text
    assert "of another company" not in sam.response.text


def test_an_owner_invites_and_removes_a_colleague(sam, stranger, outbox, transaction):
    sam.submit("/developers/people", name="Bo Ray", email="bo@assembly.example")
    assert sam.response.status_code == 303
    seed = set_up(stranger, outbox.last("developer_invitation").path)
    sign_in(stranger, seed, "bo@assembly.example")
    assert stranger.open("/developers/applications").status_code == 200
    with transaction():
        bo = DEVELOPERS.find_by_address("bo@assembly.example").id
    sam.open("/developers/people")
    sam.post(f"/developers/people/{bo}/remove")
    assert stranger.open("/developers/applications").status_code == 303


def test_an_invitation_to_an_internationalised_domain_is_sent_as_mail_servers_read_it(sam, stranger, outbox):
    sam.submit("/developers/people", name="Bo Ray", email="bo@bücher.example")
    assert outbox.last("developer_invitation").to == "bo@xn--bcher-kva.example"
    seed = set_up(stranger, outbox.last("developer_invitation").path)
    sign_in(stranger, seed, "bo@bücher.example")
    assert stranger.open("/developers/applications").status_code == 200
    sam.submit("/developers/people", name="Bo Ray", email="bö@assembly.example")
    assert "plain letters only" in sam.page_text


def test_an_address_of_another_company_is_refused_without_saying_whose_it_is(sam, al):
    sam.submit("/developers/people", name="Al", email="al@timetabler.example")
    assert "This address cannot be invited" in sam.page_text
    assert "Timetabler" not in sam.page_text


def test_the_last_owner_cannot_remove_themselves(sam, transaction):
    with transaction():
        me = DEVELOPERS.find_by_address(EMAIL).id
    sam.open("/developers/people")
    sam.web.post(f"/developers/people/{me}/remove", data={"csrf_token": sam.token})
    sam.open("/developers/people")
    assert "only owner" in sam.page_text


def test_the_number_of_invitations_is_limited(transaction, partner, outbox):
    with transaction():
        for number in range(developers.MAX_LINKS_PER_DAY):
            developers.invite(
                registry.partner("Assembly"), "X", f"x{number}@assembly.example", is_owner=False, by="cli"
            )
        with pytest.raises(developers.TooManyPeople):
            developers.invite(registry.partner("Assembly"), "X", "y@assembly.example", is_owner=False, by="cli")


def test_of_two_owners_who_remove_each_other_at_once_one_stays(transaction, partner, run_concurrently):
    with transaction():
        owner_ids = []
        for name in ("a", "b"):
            person = developers.invite(
                registry.partner("Assembly"), name, f"{name}@assembly.example", is_owner=True, by="cli"
            )
            person.set_up_at = clocks.now()
            owner_ids.append(person.id)
    pairs = iter([tuple(owner_ids), tuple(reversed(owner_ids))])

    def remove():
        remover, removed = next(pairs)
        return developers.remove(partner.partner, removed, by=remover).id

    run_concurrently(2, remove)
    with transaction():
        remaining = [
            developer for developer in developers.list_for_partner(partner.partner) if developer.disabled_at is None
        ]
        assert len(remaining) == 1


def test_of_two_changes_of_uris_at_once_the_second_is_refused(transaction, partner, run_concurrently):
    with transaction():
        person = developers.invite(registry.partner("Assembly"), "a", "a@assembly.example", is_owner=True, by="cli")
        person_id = person.id

    def change():
        applications.change_addresses(
            session().get_one(Developer, person_id), "assembly", version=1,
            redirect_uris=["https://assembly.example/new"], after_logout=[],
        )  # fmt: skip
        return "changed"

    outcomes = run_concurrently(2, change)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ChangedMeanwhile", "str"]


class TestEvents:
    @pytest.fixture
    def event_id(self, partner, transaction):
        """An event of Assembly's application, which was delivered."""
        with transaction():
            client = registry.find("assembly")
            client.events_method, client.events_endpoint_url = event_types.PUSH, "https://assembly.example/events"
            jti = streams.verify("assembly")
            session().scalars(select(PartnerEvent)).one().delivered_at = clocks.now()
            return jti

    def test_the_state_of_events_is_shown_and_one_is_delivered_again(self, sam, event_id, transaction):
        sam.open("/developers/applications/assembly")
        assert "to https://assembly.example/events" in sam.page_text
        assert "delivered" in sam.page_text
        sam.post(f"/developers/applications/assembly/events/{event_id}/replay")
        assert sam.response.location == "/developers/applications/assembly#events"
        with transaction():
            assert session().scalars(select(PartnerEvent)).one().delivered_at is None

    def test_an_event_of_another_company_is_not_found(self, al, event_id, transaction):
        with transaction():
            registry.find("timetabler").events_method = event_types.POLL
        al.open("/developers/applications/timetabler")
        al.post(f"/developers/applications/timetabler/events/{event_id}/replay")
        al.open("/developers/applications/timetabler")
        assert "There is no such event for this application" in al.page_text
        with transaction():
            assert session().scalars(select(PartnerEvent)).one().delivered_at is not None

    def test_a_changed_uri_leaves_the_registration_for_events_as_it_is(self, sam, event_id, transaction):
        sam.submit("/developers/applications/assembly/addresses", **URIS)
        with transaction():
            client = registry.find("assembly")
            assert client.redirect_uris == ["https://assembly.example/new"]
            assert client.events_endpoint_url == "https://assembly.example/events"


class TestCommand:
    @pytest.fixture
    def idp(self, app, partner, monkeypatch):
        """`idp("list", "Assembly")` runs `idp developers list Assembly`."""
        monkeypatch.setattr("idp.cli._create_app", lambda: app)
        return lambda *arguments: CliRunner().invoke(main, ["developers", *arguments])

    def test_a_person_is_invited_listed_and_removed(self, idp, outbox):
        assert idp("invite", "Assembly", "Sam Lee", EMAIL, "--owner").exit_code == 0
        assert outbox.last("developer_invitation").path.startswith("/developers/set-up/")
        (row,) = json.loads(idp("list", "Assembly", "--json").output)
        assert (row["email"], row["owner"], row["removed"]) == (EMAIL, True, None)
        assert idp("remove", "Assembly", EMAIL).exit_code == 0
        assert json.loads(idp("list", "Assembly", "--json").output)[0]["removed"]

    def test_an_operator_may_remove_the_last_owner(self, idp, sam):
        assert idp("remove", "Assembly", EMAIL).exit_code == 0
        assert sam.open("/developers/applications").status_code == 303

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("invite", "Nobody", "Sam", EMAIL), "no partner of that name"),
            (("remove", "Timetabler", "sam@elsewhere.example"), "no such person"),
        ],
    )
    def test_unknown_names_are_reported(self, idp, arguments, message):
        result = idp(*arguments)
        assert result.exit_code == 1
        assert message in result.output
