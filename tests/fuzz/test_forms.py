"""Whatever is sent in place of a page's form, the answer is one of ours, and what is refused has changed nothing."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from idp.foundation import database
from idp.sharing.models import Authorisation
from tests.fuzz import answers, newcomers, pages, second_steps
from tests.fuzz.depth import deep
from tests.fuzz.hostile import Sent, tampered
from tests.fuzz.test_endpoints import REGISTERED
from tests.fuzz.written import watching

REFUSED = {400, 403, 404, 405, 409, 410, 413, 415, 422, 429}
COUNTED = {
    "guesses", "client_events", "audit_entries", "audit_details", "personal_secrets", "password_resets",
    "wrong_passwords",
}  # fmt: skip
"""Where a refusal, or a try at a code, is written down."""
SILENT = {"viewer", "resend", "another link"}
"""Pages that lead on, or that do nothing a second time so soon."""
NEEDED = ("shown", "agreement", "csrf_token")
"""What agreeing takes, as it stands on the page."""
FORMS = pages.FORMS | newcomers.FORMS | second_steps.FORMS
WRONG = {"account mobile code", "mobile code", "reset code", "operator sign in", "second step"}
"""Pages whose code nobody here knows."""


@pytest.fixture(scope="module")
def engine(ground):
    return database.ENGINES.of(ground.app).transactional


@pytest.mark.parametrize("name", FORMS)
def test_what_is_sound_is_taken(ground, engine, name):
    web, sent = FORMS[name](ground)
    with watching(engine) as written:
        response = sent.by(web)
    answers.check(response, REGISTERED, ground.secrets)
    ground.log.check((*ground.secrets, pages.OWN))
    assert response.status_code in ({422} if name in WRONG else {200, 303}), response.text
    assert written.tables or name in SILENT


@pytest.mark.parametrize("name", FORMS)
@deep(0.1)
@given(data=st.data())
def test_what_is_tampered_with_is_answered_and_what_is_refused_changes_nothing(ground, engine, name, data):
    web, sent = FORMS[name](ground)
    sent = data.draw(tampered(sent))
    with watching(engine) as written:
        response = sent.by(web)
    answers.check(response, REGISTERED, ground.secrets)
    ground.log.check((*ground.secrets, pages.OWN))
    assert response.status_code not in REFUSED or written.tables <= COUNTED, written.tables


@deep(0.5)
@given(data=st.data())
def test_nothing_is_agreed_that_was_not_shown_and_declared(ground, data):
    web, sound = pages.consent(ground)
    sent = data.draw(tampered(sound))
    sent.by(web)
    [client] = parse_qs(urlsplit(sound.path).query)["client_id"]
    with ground.work() as session:
        agreed = session.query(Authorisation).filter_by(client_id=client).all()
    for agreement in agreed:
        expected, form = dict(sound.form), dict(reversed(sent.form))  # the first of a name counts
        assert sent.method == "POST"
        assert agreement.scopes <= agreement.offered == frozenset(expected["shown"].split())
        if sent.body is None:
            assert form.get("authority")
            assert "deny" not in form
            assert [form.get(name) for name in NEEDED] == [expected[name] for name in NEEDED]


def test_staff_are_answered_wherever_they_go(ground):
    """A signed-in operator is no school's administrator."""
    web = newcomers.an_operator(ground)
    places = [rule.rule.replace("<client_id>", ground.partner.id) for rule in ground.app.url_map.iter_rules()]
    for path in [*places, ground.partner.link(), ground.partner.link(prompt="none"), ground.partner.link(max_age="0")]:
        for method in ("GET", "POST"):
            response = Sent(method, path).by(web)
            if not path.startswith(("/static/", "/brand")):
                answers.check(response, REGISTERED, ground.secrets)
    ground.log.check((*ground.secrets, pages.OWN))
    assert web.get("/operate").status_code == 200
