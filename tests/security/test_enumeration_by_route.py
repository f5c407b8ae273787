"""security.md S29: each form that is open to strangers shows, costs and sends the same, whether an account exists or
not.

Each such route has its line here, or this fails: it is measured below, in another test, or depends on no account.
"""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest

from idp.estabs import links
from idp.foundation import clock as clocks, runtime
from idp.signin import factor_recovery, undo_changes
from tests import mail
from tests.factories import an_administrator
from tests.references import names_a_test
from tests.security.test_enumeration import comparable_parts
from tests.signin.apps import an_app
from tests.signin.authenticator import Authenticator, a_passkey, b64
from tests.signin.person import Person

pytestmark = pytest.mark.usefixtures("clock")
UNKNOWN = SimpleNamespace(username="2139999", email="no-one@oakhill.example")
NEW_PASSWORD = "wobbly kettle sings at dusk"

ENUMERATION = "tests/security/test_enumeration.py"
RESETS = f"{ENUMERATION}::test_asking_for_a_new_password_looks_and_costs_the_same_for_an_unknown_name"
REGISTRATION = "tests/security/test_enumeration_registration.py"
ANY_REGISTRATION = f"{REGISTRATION}::test_an_existing_and_an_unknown_registration_get_the_same_response"
SECOND_STEP_TEST = (
    f"{ENUMERATION}::test_the_pages_of_the_second_step_are_the_same_without_the_password_whether_or_not_there_is_one"
)
TESTED_ELSEWHERE = {
    "/sign-in": f"{ENUMERATION}::test_a_wrong_password_looks_and_costs_the_same_for_an_unknown_name",
    "/sign-in/second-step": SECOND_STEP_TEST,
    "/sign-in/recovery-code": SECOND_STEP_TEST,
    "/sign-in/with/<name>": "tests/federation/test_views.py::TestSigningIn::"
    "test_an_account_that_is_not_linked_gets_the_same_page_whatever_its_email_address",
    "/operate/sign-in": f"{ENUMERATION}::test_the_address_of_an_operator_is_not_revealed",
    "/developers/sign-in": f"{ENUMERATION}::test_the_address_of_a_developer_is_not_revealed",
    "/password/strength.json": "tests/signin/test_strength_views.py::test_an_unknown_person_is_rated_without_names",
    "/reset": RESETS,
    "/reset/code": RESETS,
    "/register/details": f"{REGISTRATION}::test_an_address_with_and_one_without_an_account_get_the_same_responses",
    "/register/<registration_id>/resend": ANY_REGISTRATION,
    "/register/<registration_id>/address": ANY_REGISTRATION,
    "/register/<registration_id>/sign-up": ANY_REGISTRATION,
    "/register/<registration_id>/password": ANY_REGISTRATION,
    "/register/<registration_id>/new-password": ANY_REGISTRATION,
    "/register/<registration_id>/code": ANY_REGISTRATION,
    "/register/<registration_id>/new-code": ANY_REGISTRATION,
    "/register/<registration_id>/here": ANY_REGISTRATION,
    "/register/<registration_id>/not-me": ANY_REGISTRATION,
    "/register/<registration_id>/add": ANY_REGISTRATION,
    "/register/<registration_id>/add/someone-else": ANY_REGISTRATION,
    "/register/verify/<secret>": "tests/security/test_link_misuse.py::test_a_link_we_never_made_is_unknown",
    "/register/verify/<secret>/new": "tests/security/test_link_misuse.py::"
    "test_the_response_to_a_request_for_a_new_link_is_the_same_for_every_link",
    "/register/verify/<secret>/not-me": "tests/security/test_link_misuse.py::test_a_link_we_never_made_is_unknown",
}
EXEMPT_ROUTES = {
    "/oauth/authorize": "keeps the request; who exists is asked at /sign-in only",
    "/oauth/consent": "for a person signed in",
    "/register/add": "for a person signed in",
    "/register/add/someone-else": "signs out, and continues to the form for one's details",
    "/oauth/app": "for a person signed in",
    "/oauth/mis": "for a person signed in",
    "/oauth/logout": "of this browser's own session",
    "/oauth/logout/confirm": "of this browser's own session",
    "/device": "codes of devices, not people (tests/security/test_device_flow.py)",
    "/invitation/<secret>/sign-out": "of this browser's own session",
    "/sign-out": "of this browser's own session",
    "/sign-in/school": "for a person signed in",
}


@pytest.fixture
def existing_person(transaction, settings):
    """A person with a confirmed number, an app and a passkey, and the secrets of links that they were sent."""
    with transaction():
        person = an_administrator(mobile_confirmed_at=clocks.now())
        an_app(person.id)
        device = a_passkey(person.id, settings.server.issuer)
        recovery = factor_recovery.start(person, by="cli")
        secrets = {purpose: links.issue(person.id, purpose, timedelta(hours=1)) for purpose in (links.RESET, "welcome")}
        secrets["undo"] = undo_changes.issue(person).rpartition("/")[2]
        return SimpleNamespace(
            id=person.id, username=person.username, email=person.email, device=device, recovery=recovery.id, **secrets
        )


def invalid_response_of(device, options):
    """A passkey's response for another origin, so that it is wrong whether the credential is known or not."""
    return device.get(options, origin="https://evil.example")


def unknown_device(issuer):
    device = Authenticator(issuer)
    device.create({"rp": {"id": "localhost"}, "user": {"id": b64(b"adm_x")}, "challenge": "x"})
    return device


def post_to(path):
    """The form of the sign-in page, sent there with the person's name."""

    def act(person, subject, _issuer):
        person.open("/sign-in")
        yield person.post(path, username=subject.username, code="123456", passkey="{}", send_code="yes")
        yield person.open(path) if not path.endswith(("passkey", ".json")) else person.response

    return act


def sign_in_with_passkey(person, subject, issuer):
    person.open("/sign-in")
    options = person.post("/sign-in/passkey-options.json").json
    device = getattr(subject, "device", None) or unknown_device(issuer)
    person.open("/sign-in")
    yield person.post("/sign-in/passkey", passkey=invalid_response_of(device, options))


def choose_a_password(person, subject, _issuer):
    """Send a new password without having typed the code."""
    yield person.submit("/reset", username=subject.username)
    yield person.open("/reset/code")
    yield person.post("/reset/password", password=NEW_PASSWORD)
    yield person.open("/reset/password")


def use_link(path, purpose):
    """Use a link of another kind, and one that was never made."""

    def act(person, subject, _issuer):
        secret = getattr(subject, purpose, "A" * 43)
        if path.endswith("{}"):
            yield person.open(path.format(secret))
        person.open("/sign-in")
        yield person.post(path.format(secret), password=NEW_PASSWORD, generate="yes", code="123456")

    return act


MEASURED_FORMS = {
    "/sign-in/passkey-options.json": post_to("/sign-in/passkey-options.json"),
    "/sign-in/passkey": sign_in_with_passkey,
    "/sign-in/second-step/passkey-options.json": post_to("/sign-in/second-step/passkey-options.json"),
    "/sign-in/second-step/passkey": post_to("/sign-in/second-step/passkey"),
    "/sign-in/lost-factor": post_to("/sign-in/lost-factor"),
    "/reset/password": choose_a_password,
    "/reset/link/<secret>": use_link("/reset/link/{}", "welcome"),
    "/welcome/<secret>": use_link("/welcome/{}", "reset"),
    "/welcome/<secret>/again": use_link("/welcome/{}/again", "reset"),
    "/undo/<secret>": use_link("/undo/{}", "reset"),
    "/recovery/<secret>": use_link("/recovery/{}", "undo"),
    "/invitation/<secret>": use_link("/invitation/{}", "reset"),
    "/invitation/<secret>/password": use_link("/invitation/{}/password", "reset"),
    "/invitations/<secret>": use_link("/invitations/{}", "welcome"),
    "/invitations/<secret>/pass-on": use_link("/invitations/{}/pass-on", "welcome"),
    "/developers/set-up/<secret>": use_link("/developers/set-up/{}", "welcome"),
    "/set-up/<secret>": use_link("/set-up/{}", "welcome"),
}


def open_posts(app):
    """The routes that accept a POST without signing in."""
    rules = (rule for rule in app.url_map.iter_rules() if "POST" in rule.methods)
    return {rule.rule for rule in rules if app.view_functions[rule.endpoint].open_to == "anyone"}


def test_every_form_without_sign_in_is_listed(app):
    listed = [*MEASURED_FORMS, *TESTED_ELSEWHERE, *EXEMPT_ROUTES]

    assert open_posts(app) == set(listed)
    assert len(listed) == len(set(listed))
    assert [reference for reference in TESTED_ELSEWHERE.values() if not names_a_test(reference)] == []


@pytest.mark.parametrize("route", MEASURED_FORMS)
def test_known_and_unknown_subjects_get_the_same_response_messages_and_cost(
    app, transaction, new_browser, settings, existing_person, route
):
    def measured(subject):
        person, before, hashed = (
            Person(new_browser()),
            mail.count_by_template(transaction),
            runtime.for_app(app).passwords.hashed,
        )
        responses = []
        for _ in MEASURED_FORMS[route](person, subject, settings.server.issuer):
            status, headers, cookies, text = comparable_parts(person, subject.username)
            text = re.sub(r"/[\w-]{43}", "/SECRET", re.sub(r'"challenge": ?"[\w-]+"', "", text))
            headers["Location"] = re.sub(r"/[\w-]{43}", "/SECRET", headers.get("Location", ""))
            responses.append((status, headers, cookies, text))
        return responses, runtime.for_app(app).passwords.hashed - hashed, mail.count_by_template(transaction) - before

    known_outcome, unknown_outcome = measured(existing_person), measured(UNKNOWN)

    assert known_outcome == unknown_outcome
    assert known_outcome[0]
    assert {status for status, *_ in known_outcome[0]} <= {200, 303, 404, 409, 410, 422}


class TestSignedIn:
    """What an owner could find out about people of other schools."""

    @pytest.fixture
    def owner(self, web, transaction):
        with transaction():
            username = an_administrator().username
        person = Person(web)
        person.sign_in(username)
        return person

    def test_an_address_of_another_person_looks_like_an_unknown_one(self, owner, transaction, app, existing_person):
        responses = []
        for address in (existing_person.email, UNKNOWN.email):
            before = mail.count_by_template(transaction)
            owner.submit("/manage/account/email", email=address)
            responses.append((comparable_parts(owner, address), mail.count_by_template(transaction) - before))
        assert responses[0] == responses[1]
        assert responses[0][1] == {"confirm_address": 1}

    @pytest.mark.parametrize("page", ["/manage/people/{}/reset", "/manage/people/{}/lost-factor"])
    def test_a_person_of_another_school_looks_like_an_unknown_one(self, owner, transaction, existing_person, page):
        def responses(person_id):
            pages = []
            owner.open(page.format(person_id))
            pages.append(comparable_parts(owner, person_id))
            owner.open("/manage/account/name")
            owner.post(page.format(person_id))
            return [*pages, comparable_parts(owner, person_id), mail.count_by_template(transaction)]

        assert responses(existing_person.id) == responses("adm_unknown")
