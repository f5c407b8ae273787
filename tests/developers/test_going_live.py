"""A partner asks to go live, our staff decide on one page, and a live application exists; or an application changes."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from idp import worker
from idp.cli import main
from idp.developers import sandbox
from idp.estabs import people
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.operate import request_notices
from idp.partners import companies, manifest, registration_requests, registry
from idp.partners.models import Client, RegistrationRequest
from idp.sharing import authorise
from tests import factories
from tests.code_accounts import a_developer, an_operator, sign_in
from tests.signin.person import Person

FORM_FIELDS = {
    "client_name": "Assembly Connector", "purpose": "Showing teachers who is absent today.",
    "client_uri": "https://assembly.example/connector", "policy_uri": "https://assembly.example/privacy",
    "agreement_uri": "https://assembly.example/agreement", "agreement_version": "2026-11",
    "contact": "help@assembly.example", "redirect_uris": "https://assembly.example/callback",
    "kind_openid": "required", "kind_profile": "required", "kind_students": "required",
    "why_students": "To list them.", "kind_attendance": "optional", "why_attendance": "To show who is absent.",
}  # fmt: skip


@pytest.fixture
def trial(transaction, assembly):
    """The id of a sandbox application of Assembly."""
    with transaction():
        person, _ = a_developer(companies.by_id(assembly), "bo@assembly.example")
        return sandbox.make_application(person, name="Trial", quick_start_id="authlib", address="")[0].id


@pytest.fixture
def live_application(transaction, assembly):
    """The id of a live application of Assembly."""
    with transaction():
        return factories.a_client(companies.by_id(assembly), id="live", client_name="Assembly Live").id


@pytest.fixture
def operator(stranger, transaction, clock):
    """One of our staff, signed in."""
    with transaction():
        _, seed = an_operator()
    sign_in(stranger, "/operate", "ops@idaas.example", seed)
    return stranger


def ask_to_go_live(developer, client_id, **overrides):
    """Send the form; returns the id of the request, or None if there is none."""
    developer.submit(f"/developers/applications/{client_id}/request", version=1, **(FORM_FIELDS | overrides))
    return developer.response.location.rpartition("/")[2] if developer.response.status_code == 303 else None


def decide(operator, request_id, **fields):
    """Open the page of the request and press a button; returns the response."""
    operator.open(f"/operate/requests/{request_id}")
    version = operator.page.find(id="version")["value"]
    operator.post(f"/operate/requests/{request_id}", version=version, **fields)
    return operator.response


def test_a_sandbox_application_goes_live(developer, operator, trial, transaction, outbox):
    developer.open(f"/developers/applications/{trial}")
    developer.open(developer.page.find(id="ask")["href"])
    assert developer.page.find(id="client_name")["value"] == "Trial"
    request_id = ask_to_go_live(developer, trial)
    developer.open("/developers/requests")
    assert "waiting" in developer.page_text

    operator.open("/operate/requests")
    operator.open(operator.page.find("a", string=lambda text: text and "Assembly Connector" in text)["href"])
    for words in ("Showing teachers who is absent today.", "2026-11", "To list them.", "Authorise sharing with"):
        assert words in operator.page_text
    assert decide(operator, request_id, approve="yes").status_code == 303

    with transaction():
        registered = registry.find(session().get_one(RegistrationRequest, request_id).client_id)
        assert registered.id != trial
        assert not registered.is_sandbox
        assert registered.client_name == "Assembly Connector"
        assert registered.redirect_uris == ["https://assembly.example/callback"]
        assert registered.required_scopes == {"openid", "profile", "students"}
        assert registered.optional_scopes == {"attendance"}
        assert registered.grant_types == {"authorization_code"}
        assert registered.contacts == ["help@assembly.example"]
        new_id = registered.id
    mails = {mail.to: mail.text for mail in outbox.all("registration_approved")}
    assert mails.keys() == {"developers@assembly.example", "bo@assembly.example", "sam@assembly.example"}
    assert new_id in mails["sam@assembly.example"]
    developer.open(f"/developers/applications/{new_id}")
    developer.post(f"/developers/applications/{new_id}/secret", overlap="0")
    secret = developer.page.find(id="client-secret").text
    with transaction():
        assert registry.secret_matches(registry.client(new_id), secret)


def test_a_request_is_declined_with_a_reason_that_the_partner_reads(developer, operator, trial, outbox, transaction):
    request_id = ask_to_go_live(developer, trial)
    assert decide(operator, request_id, decline="yes", reason=" ").status_code == 422
    assert decide(operator, request_id, decline="yes", reason="Leave students out, please.").status_code == 303
    assert "Leave students out, please." in outbox.last("registration_declined").text
    developer.open(f"/developers/requests/{request_id}")
    assert "Leave students out, please." in developer.page_text
    with transaction():
        assert [client.id for client in session().scalars(select(Client))] == [trial]


def test_an_approved_change_keeps_what_else_was_changed_meanwhile(developer, operator, live_application, transaction):
    request_id = ask_to_go_live(
        developer, live_application, client_name="Assembly Live", kind_staff="optional", why_staff="For timetables."
    )
    with transaction():
        assert "staff" not in registry.find(live_application).optional_scopes
        registry.change(
            {**manifest.from_client(registry.find(live_application)), "redirect_uris": ["https://assembly.example/x"]}
        )
    operator.open(f"/operate/requests/{request_id}")
    assert "redirect_uris" not in operator.page_text
    assert "What would change" in operator.page_text
    assert decide(operator, request_id, approve="yes").status_code == 303
    with transaction():
        client = registry.find(live_application)
        assert "staff" in client.optional_scopes
        assert client.redirect_uris == ["https://assembly.example/x"]
        assert client.agreement_version == "2026-11"


def test_an_approval_is_refused_if_the_application_changed_since_the_page_was_opened(
    developer, operator, live_application, transaction
):
    request_id = ask_to_go_live(developer, live_application)
    operator.open(f"/operate/requests/{request_id}")
    with transaction():
        registry.bump_version(registry.find(live_application))
    operator.post(f"/operate/requests/{request_id}", version=1, approve="yes")
    assert "changed since this page was opened" in operator.page_text
    assert operator.page.find(id="version")["value"] == "2"
    with transaction():
        assert session().get_one(RegistrationRequest, request_id).state == "waiting"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"purpose": ""}, "Use words that a school would use"),
        ({"purpose": "short"}, "10 to 500 characters"),
        ({"policy_uri": "http://assembly.example"}, "Must be https"),
        ({"redirect_uris": "http://localhost:3000/callback"}, "Line 1 must be https"),
        ({"redirect_uris": ""}, "Needs at least one"),
        ({"why_students": ""}, "Say why the application needs this"),
        ({"kind_openid": "", "kind_profile": "", "kind_students": ""}, "needs one at least"),
        ({"contact": "no-address"}, "Does not have the right form"),
        ({"client_name": "IDaaS"}, "look like"),
    ],
)
def test_an_invalid_request_is_explained_and_what_was_typed_stays_in_the_form(
    developer, trial, transaction, fields, reason
):
    assert ask_to_go_live(developer, trial, **fields) is None
    assert developer.response.status_code == 422
    assert reason in developer.page_text
    assert developer.page.find(id="agreement_version")["value"] == "2026-11"
    with transaction():
        assert session().scalars(select(RegistrationRequest)).all() == []


def test_a_request_that_changes_nothing_is_refused(developer, live_application, transaction):
    with transaction():
        client = registry.find(live_application)
        document = manifest.from_client(client)
        kinds = {
            f"{part}_{scope.replace('.', '_')}": value
            for kind in ("required", "optional")
            for scope in document["scopes"][kind]
            for part, value in (("kind", kind), ("why", "Because."))
        }
        unchanged = {name: document[name] for name in FORM_FIELDS if name in document and name != "redirect_uris"}
        client.contacts = ["help@assembly.example"]
    developer.submit(
        f"/developers/applications/{live_application}/request",
        version=1,
        contact="help@assembly.example",
        **(unchanged | kinds),
    )
    assert "nothing for us to decide" in developer.page_text


class TestAuthorisation:
    def test_another_partners_requests_and_applications_are_not_found(
        self, developer, trial, jo, transaction, new_browser
    ):
        request_id = ask_to_go_live(developer, trial)
        with transaction():
            _, seed = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
        al = Person(new_browser())
        sign_in(al, "/developers", "al@timetabler.example", seed)
        for path in (f"requests/{request_id}", f"applications/{trial}/request"):
            assert al.open(f"/developers/{path}").status_code == 404
        al.open("/developers/people")
        posted = al.web.post(f"/developers/requests/{request_id}/withdraw", data={"csrf_token": al.token})
        assert posted.status_code == 404
        with transaction():
            assert session().get_one(RegistrationRequest, request_id).state == "waiting"

    def test_a_developer_cannot_decide_requests(self, developer, trial, transaction):
        request_id = ask_to_go_live(developer, trial)
        developer.open("/developers/people")
        response = developer.web.post(
            f"/operate/requests/{request_id}", data={"csrf_token": developer.token, "version": 0, "approve": "yes"}
        )
        assert response.status_code == 404

    def test_a_request_is_withdrawn_and_then_not_approved(self, developer, operator, trial, transaction):
        request_id = ask_to_go_live(developer, trial)
        developer.open(f"/developers/requests/{request_id}")
        developer.post(f"/developers/requests/{request_id}/withdraw")
        assert approve_again(operator, request_id) == 422
        with transaction():
            assert session().get_one(RegistrationRequest, request_id).state == "withdrawn"


def test_an_approval_that_cannot_be_registered_any_more_leaves_the_request_waiting(
    developer, operator, trial, transaction
):
    request_id = ask_to_go_live(developer, trial)
    with transaction():  # as if the catalogue no longer had a grant that was asked for
        row = session().get_one(RegistrationRequest, request_id)
        row.manifest = {**row.manifest, "grant_types": ["authorization_code", "password"]}
    assert decide(operator, request_id, approve="yes").status_code == 422
    assert "This can no longer be registered" in operator.page_text
    with transaction():
        request = session().get_one(RegistrationRequest, request_id)
        assert (request.state, request.client_id, request.decided_at) == ("waiting", None, None)
    assert decide(operator, request_id, reason="The name is taken.").status_code == 303


def approve_again(operator, request_id):
    """Approve a request that was decided or withdrawn; returns the status of the response."""
    operator.open("/sign-out")
    operator.post(f"/operate/requests/{request_id}", version=0, approve="yes")
    return operator.response.status_code


def a_request(assembly):
    """The id of a request to go live, made without the page."""
    partner = companies.by_id(assembly)
    document = {
        "partner": partner.name, "client_name": "New", "client_uri": "https://assembly.example",
        "purpose": "Showing what there is.", "policy_uri": "https://assembly.example/p", "agreement_version": "1",
        "agreement_uri": "https://assembly.example/a", "redirect_uris": ["https://assembly.example/c"],
        "scopes": {"required": ["openid"]},
    }  # fmt: skip
    return registration_requests.ask(partner, document, client=None, reasons={}, by="cli").id


def test_of_two_decisions_at_once_one_is_made(transaction, assembly, run_concurrently):
    with transaction():
        request_id = a_request(assembly)
    decisions = iter(
        [
            lambda: registration_requests.approve(request_id, by="opr_1").id,
            lambda: registration_requests.decline(request_id, "No.", by="opr_2").id,
        ]
    )
    outcomes = run_concurrently(2, lambda: next(decisions)())  # noqa: PLW0108  each thread takes another
    assert sum(isinstance(outcome, registration_requests.AlreadyDecided) for outcome in outcomes) == 1
    with transaction():
        state = session().get_one(RegistrationRequest, request_id).state
        assert len(session().scalars(select(Client)).all()) == (state == "approved")


def test_the_number_of_requests_is_limited(transaction, assembly):
    with transaction():
        for _ in range(registration_requests.MAX_WAITING):
            a_request(assembly)
        with pytest.raises(registration_requests.TooManyOpenRequests):
            a_request(assembly)


class TestCommand:
    @pytest.fixture
    def idp(self, app, monkeypatch):
        """`idp("list")` runs `idp clients requests list`."""
        monkeypatch.setattr("idp.cli._create_app", lambda: app)
        return lambda *arguments: CliRunner().invoke(main, ["clients", "requests", *arguments])

    def test_a_request_is_listed_shown_and_approved(self, idp, transaction, assembly):
        with transaction():
            request_id = a_request(assembly)
        assert json.loads(idp("list", "--json").output)[0]["id"] == request_id
        assert "purpose: Showing what there is." in idp("show", request_id).output
        assert json.loads(idp("show", request_id, "--json").output)["manifest"]["client_name"] == "New"
        assert idp("approve", request_id).exit_code == 0
        refused = idp("decline", request_id, "--reason", "No.")
        assert refused.exit_code == 1
        assert "decided or withdrawn already" in refused.output

    def test_a_request_is_declined(self, idp, transaction, assembly):
        with transaction():
            request_id = a_request(assembly)
        assert idp("decline", request_id, "--reason", "No.").exit_code == 0
        assert idp("list").output == "No requests are waiting.\n"
        assert "no such request" in idp("show", "rrq_unknown").output


def test_no_partner_asks_for_a_scope_that_only_our_staff_register(developer, trial, transaction):
    developer.open(f"/developers/applications/{trial}/request")
    assert developer.page.find(id="kind_students") is not None
    assert developer.page.find(id="kind_endpoint") is None
    request_id = ask_to_go_live(
        developer, trial, kind_endpoint="required", why_endpoint="To send.", kind_reads_report="client"
    )

    with transaction():
        asked_for = session().get_one(RegistrationRequest, request_id).manifest["scopes"]
    assert "endpoint" not in json.dumps(asked_for)
    assert "reads.report" not in json.dumps(asked_for)


def test_scopes_that_our_staff_registered_stay_when_an_application_changes(developer, live_application, transaction):
    with transaction():
        session().get_one(Client, live_application).required_scopes |= {"endpoint"}
        registry.find(live_application)
    request_id = ask_to_go_live(developer, live_application)

    with transaction():
        asked_for = session().get_one(RegistrationRequest, request_id).manifest["scopes"]
    assert "endpoint" in asked_for["required"]


class TestPrefilled:
    def fields(self, developer, trial):
        """The values in the form to go live, by the name of the field."""
        developer.open(f"/developers/applications/{trial}/request")
        inputs = {item["name"]: item.get("value", "") for item in developer.page.select("main input[name]")}
        areas = {item["name"]: item.get_text().strip() for item in developer.page.select("main textarea")}
        chosen = {
            item["name"]: option["value"]
            for item in developer.page.select("main select")
            for option in item.select("option[selected]")
        }
        return inputs | areas | chosen

    def test_the_form_is_filled_in_from_the_sandbox_application(self, developer, trial, transaction):
        with transaction():
            client = registry.find(trial)
            client.redirect_uris = [*client.redirect_uris, "https://assembly.example/callback"]
        fields = self.fields(developer, trial)
        assert fields["client_name"] == "Trial"
        assert fields["client_uri"] == "https://assembly.example"
        assert fields["contact"] == "sam@assembly.example"
        assert fields["redirect_uris"] == "https://assembly.example/callback"
        assert fields["purpose"] == "", "the purpose of a sandbox application is our text, not the partner's"
        assert "http://localhost:3000/callback" in developer.page_text, "what has to be replaced is named"

    def test_documents_are_those_of_the_companys_live_application(self, developer, trial, transaction, assembly):
        with transaction():
            documents = {
                "policy_uri": "https://assembly.example/p",
                "agreement_uri": "https://assembly.example/a",
            }
            factories.a_client(companies.by_id(assembly), id="live", agreement_version="2026-05", **documents)
        fields = self.fields(developer, trial)
        assert fields["policy_uri"] == "https://assembly.example/p"
        assert fields["agreement_uri"] == "https://assembly.example/a"
        assert fields["agreement_version"] == "2026-05"

    def test_the_scopes_offered_to_fictional_schools_are_filled_in(self, developer, trial, transaction):
        with transaction():
            person, _ = a_developer(registry.find(trial).partner, "al@assembly.example")
            made = sandbox.make_school(person, "primary", mis="sims", password=("x", "x"), is_verified=True)
            client = registry.find(trial)
            authorise.give(
                client, client.required_scopes, by=people.list_for_estab(made.estab.id)[0], agreement_version="1",
                until=clocks.now() + timedelta(days=1), offered=client.required_scopes | {"attendance"},
                second_step=True,
            )  # fmt: skip
        fields = self.fields(developer, trial)
        assert fields["kind_attendance"] == "optional"
        assert fields.get("kind_staff", "") == ""

    def test_the_form_is_filled_in_from_a_request_that_was_declined(self, developer, operator, trial):
        request_id = ask_to_go_live(developer, trial, client_name="Trial")
        decide(operator, request_id, decline="yes", reason="Leave students out, please.")
        fields = self.fields(developer, trial)
        assert fields["purpose"] == FORM_FIELDS["purpose"]
        assert fields["why_attendance"] == "To show who is absent."
        assert fields["kind_attendance"] == "optional"
        assert fields["agreement_version"] == "2026-11"


class TestFirstSecret:
    def test_a_new_live_application_has_no_secret_until_a_developer_makes_one(
        self, developer, operator, trial, transaction, outbox
    ):
        request_id = ask_to_go_live(developer, trial)
        decide(operator, request_id, approve="yes")
        with transaction():
            new_id = session().get_one(RegistrationRequest, request_id).client_id
            assert registry.secrets_of(new_id) == []
        assert "It has no secret yet" in outbox.last("registration_approved").text
        developer.open(f"/developers/requests/{request_id}")
        assert "you make that on its page" in developer.page_text
        changed = {"version": "1", "redirect_uris": "https://assembly.example/new", "post_logout_redirect_uris": ""}
        developer.submit(f"/developers/applications/{new_id}/addresses", **changed)
        with transaction():
            assert registry.secrets_of(new_id) == [], "a change of URIs makes no secret, which would never be shown"
        developer.open(f"/developers/applications/{new_id}")
        assert "It has no secret yet" in developer.page_text
        developer.post(f"/developers/applications/{new_id}/secret", overlap="0")
        secret = developer.page.find(id="client-secret").text
        assert "first secret" in developer.page_text
        with transaction():
            assert registry.secret_matches(registry.client(new_id), secret)
        developer.open(f"/developers/applications/{new_id}")
        assert "It has no secret yet" not in developer.page_text


class TestMailToOurStaff:
    def test_new_requests_are_mailed_to_our_staff_once_in_one_mail(
        self, developer, operator, trial, live_application, transaction, outbox
    ):
        ask_to_go_live(developer, trial)
        ask_to_go_live(
            developer, live_application, client_name="Assembly Live", kind_staff="optional", why_staff="For timetables."
        )
        for _ in range(2):
            worker.notify_requests(transaction)
        (mail,) = outbox.all("registration_requested")
        assert mail.to == "ops@idaas.example"
        assert "Assembly asks to go live with Assembly Connector" in mail.text
        assert "Assembly asks to change Assembly Live" in mail.text
        assert "/operate/requests" in mail.text

    def test_a_withdrawn_request_is_not_mailed_to_our_staff(self, developer, operator, trial, transaction, outbox):
        request_id = ask_to_go_live(developer, trial)
        developer.open(f"/developers/requests/{request_id}")
        developer.post(f"/developers/requests/{request_id}/withdraw")
        worker.notify_requests(transaction)
        assert outbox.all("registration_requested") == []

    def test_the_mail_about_new_requests_waits_until_there_is_an_operator(
        self, developer, trial, transaction, outbox, clock
    ):
        ask_to_go_live(developer, trial)
        worker.notify_requests(transaction)
        with transaction():
            an_operator()
        worker.notify_requests(transaction)
        assert len(outbox.all("registration_requested")) == 1

    def test_of_two_workers_one_sends_the_mail_about_new_requests(
        self, developer, operator, trial, transaction, outbox, run_concurrently
    ):
        ask_to_go_live(developer, trial)
        run_concurrently(4, request_notices.mail_due)
        assert len(outbox.all("registration_requested")) == 1
