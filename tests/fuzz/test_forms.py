"""For any request in place of a page's form, the response is a valid one of ours, and a refused request changes
nothing.
"""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from idp.foundation import database
from idp.sharing.models import Authorisation
from tests.fuzz import newcomers, pages, responses, second_steps
from tests.fuzz.hostile import Request, tampered
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.recorded_writes import recorded_writes
from tests.fuzz.test_endpoints import REGISTERED

REFUSED = {400, 403, 404, 405, 409, 410, 413, 415, 422, 429}
COUNTED = {
    "guesses", "client_events", "audit_entries", "audit_details", "personal_secrets", "password_resets",
    "wrong_passwords",
}  # fmt: skip
"""Tables in which a refusal, or a try of a code, is recorded."""
CHANGED_BY_REFUSAL = {"own password": {"administrators"}}
"""Other tables that a page changes: where a chosen password is refused, the page shows a new generated one."""
FORMS_WITHOUT_EFFECT = {"viewer", "resend", "another link"}
"""Pages that only lead to another one, or that do nothing when repeated soon."""
REQUIRED_FIELDS = ("shown", "agreement", "csrf_token")
"""The fields of the page that are needed to agree."""
FORMS = pages.FORMS | newcomers.FORMS | second_steps.FORMS
ALWAYS_WRONG_FORMS = {"account mobile code", "mobile code", "reset code", "operator sign in", "second step"}
"""Pages that ask for a code that is not known to the tests."""


@pytest.fixture(scope="module")
def engine(target):
    return database.CONNECTIONS.for_app(target.app).engine


@pytest.mark.parametrize("name", FORMS)
def test_valid_forms_are_accepted(target, engine, name):
    web, sent = FORMS[name](target)
    with recorded_writes(engine) as writes:
        response = sent.send(web)
    responses.check(response, REGISTERED, target.secrets)
    target.log.check((*target.secrets, pages.OWN_PASSWORD))
    assert response.status_code in ({422} if name in ALWAYS_WRONG_FORMS else {200, 303}), response.text
    assert writes.tables or name in FORMS_WITHOUT_EFFECT


@pytest.mark.parametrize("name", FORMS)
@fuzz_settings(0.1)
@given(data=st.data())
def test_tampered_forms_get_a_valid_response_and_change_nothing_when_refused(target, engine, name, data):
    web, sent = FORMS[name](target)
    sent = data.draw(tampered(sent))
    with recorded_writes(engine) as writes:
        response = sent.send(web)
    responses.check(response, REGISTERED, target.secrets)
    target.log.check((*target.secrets, pages.OWN_PASSWORD))
    allowed = COUNTED | CHANGED_BY_REFUSAL.get(name, set())
    assert response.status_code not in REFUSED or writes.tables <= allowed, writes.tables


@fuzz_settings(0.5)
@given(data=st.data())
def test_scopes_are_agreed_only_if_shown_and_declared(target, data):
    web, valid = pages.consent(target)
    sent = data.draw(tampered(valid))
    sent.send(web)
    [client] = parse_qs(urlsplit(valid.path).query)["client_id"]
    with target.transaction() as session:
        agreed = session.query(Authorisation).filter_by(client_id=client).all()
    for agreement in agreed:
        expected, form = dict(valid.form), dict(reversed(sent.form))  # of repeated fields the first counts
        assert sent.method == "POST"
        assert agreement.scopes <= agreement.offered == frozenset(expected["shown"].split())
        if sent.body is None:
            assert form.get("authority")
            assert "deny" not in form
            assert [form.get(name) for name in REQUIRED_FIELDS] == [expected[name] for name in REQUIRED_FIELDS]


def test_every_page_gives_an_operator_a_valid_response(target):
    """A signed-in operator is no school's administrator."""
    web = newcomers.an_operator(target)
    places = [rule.rule.replace("<client_id>", target.partner.id) for rule in target.app.url_map.iter_rules()]
    for path in [*places, target.partner.link(), target.partner.link(prompt="none"), target.partner.link(max_age="0")]:
        for method in ("GET", "POST"):
            response = Request(method, path).send(web)
            if not path.startswith(("/static/", "/brand")):
                responses.check(response, REGISTERED, target.secrets)
    target.log.check((*target.secrets, pages.OWN_PASSWORD))
    assert web.get("/operate").status_code == 200
