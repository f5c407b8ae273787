"""`/api/invitations`: a partner's program invites schools, and reads the state of the invitations."""

from datetime import timedelta

import pytest

from idp.foundation.database import session
from idp.invitations import answer
from idp.invitations.mailing import Recipient
from idp.invitations.models import SchoolInvitation
from idp.partners import failure_log
from idp.schools.models import School, SchoolLink
from tests.factories import a_school

PATH = "/api/invitations"
HEAD = {"name": "Al Bloggs", "email": "head@oakhill.example"}
BO = Recipient("Bo Bloggs", "bo@oakhill.example", is_forwarded=True)


@pytest.fixture
def program(new_program, transaction):
    with transaction():
        a_school(name="Oakhill School", register_id="123456", dfe_number="2131234")
    return new_program().request_token("invitations")


@pytest.fixture
def post(program):
    """`post(path, document)` sends a document, or no body; returns the response, after checking the status."""

    def post(path=PATH, document=None, *, by=program, status=200, **headers):
        own = {"Authorization": f"Bearer {by.token}", **headers}
        response = by.web.post(path, json=document, headers=own)
        assert response.status_code == status, response.text
        return response

    return post


@pytest.fixture
def invite(post):
    """`invite()` invites the school, and returns the document of the response; None leaves a member out."""

    def invite(*, status=201, key=None, by=None, **overrides):
        document = {"urn": "123456", "contact": HEAD, "scope": "school students"} | overrides
        headers = {} if key is None else {"Idempotency-Key": key}
        sender = {} if by is None else {"by": by}
        document = {name: value for name, value in document.items() if value is not None}
        return post(document=document, status=status, **sender, **headers).json

    return invite


def test_a_school_is_invited_and_the_response_has_its_state(invite, program, outbox, clock):
    invitation = invite(mis="sims", reference="crm-17")
    assert outbox.last("partner_invitation").to == HEAD["email"]
    generated = {name: invitation.pop(name) for name in ("id", "created_at", "expires_at")}
    assert generated["created_at"] < generated["expires_at"]
    assert invitation == {
        "state": "sent", "school": "Oakhill School", "urn": "123456", "dfe_number": "2131234", "contact": HEAD,
        "mis": "sims", "scope": "school students", "reference": "crm-17", "mails": 1,
    }  # fmt: skip
    assert program.get(f"{PATH}/{generated['id']}").json == invitation | generated


def test_a_school_is_invited_by_its_dfe_number_with_or_without_a_slash(invite):
    for number in ("2131234", "213/1234"):
        assert invite(urn=None, dfe_number=number)["urn"] == "123456"


def test_a_repeated_request_with_the_same_idempotency_key_makes_one_invitation(invite, outbox):
    first = invite(key="k1")
    assert invite(key="k1")["id"] == first["id"]
    assert len(outbox.all("partner_invitation")) == 1
    assert invite(key="k1", reference="other", status=422)["code"] == "idempotency_key_reused"


def test_every_invalid_field_of_an_invitation_is_named(invite):
    problem = invite(
        contact={"name": "Click evil.example", "email": "x"}, scope="school timetable", mis="abacus", status=422
    )
    assert problem["code"] == "invalid_invitation"
    assert [error["field"] for error in problem["errors"]] == ["contact.name", "contact.email", "scope", "mis"]
    assert problem["type"].endswith("/api#invalid_invitation")
    problem = invite(contact=HEAD | {"email": "x"}, scope="school nonsense", status=422)
    assert [error["field"] for error in problem["errors"]] == ["contact.email", "scope"]
    assert problem["errors"][1]["detail"] == "does not exist: nonsense"
    for overrides, field in (
        ({"scope": "nonsense"}, "scope"),
        ({"urn": None}, "urn"),
        ({"dfe_number": "2131234"}, "urn"),
    ):
        assert invite(**overrides, status=422)["errors"][0]["field"] == field


def test_refused_invitations_are_in_the_clients_log_without_the_values_sent(invite, program, transaction):
    invite(contact={"name": "", "email": "al.at.oakhill"}, status=422)
    invite(urn="999999", status=422)
    with transaction():
        logged = [(event.error, event.parameter, event.fact) for event in failure_log.newest(program.partner.id)]
    assert {(error, parameter) for error, parameter, _ in logged} == {
        ("invalid_invitation", "contact.name"), ("invalid_invitation", "contact.email"), ("school_unknown", ""),
    }  # fmt: skip
    assert not any("oakhill" in fact for _, _, fact in logged)


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({}, "contact: is missing"),
        ({"contact": {"name": "Al"}, "scope": "school"}, "contact.email: is missing"),
        ({"contact": HEAD, "scope": 3}, "scope: must be a string, not an integer"),
        ({"contact": "Al", "scope": "school"}, "contact: must be an object, not a string"),
        ({"contact": HEAD | {"phone": "1"}, "scope": "school"}, "contact.phone: is not known; there are name, email"),
        ([], "body: must be an object, not an array"),
    ],
)
def test_a_document_that_cannot_be_read_is_explained(post, document, detail):
    problem = post(document=document, status=400).json
    assert (problem["code"], problem["detail"]) == ("invalid_request", detail)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 5000, b""])
def test_a_body_that_is_not_json_is_refused(program, body):
    headers = {"Authorization": f"Bearer {program.token}"}
    refused = program.web.post(PATH, data=body, content_type="application/json", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    refused = program.web.post(PATH, data=b"urn=123456", content_type="text/plain", headers=headers)
    assert refused.json["detail"] == "Content-Type: must be application/json"


def test_a_closed_school_is_refused_and_its_successors_named(invite, transaction):
    with transaction():
        a_school(register_id="100001", status_code="2", status_name="Closed")
        a_school(register_id="100002", name="Oakhill Academy")
        session().add(
            SchoolLink(
                from_urn="100001", to_urn="100002", kind="Successor", is_succession=True, name="", since=None
            )
        )  # fmt: skip
    problem = invite(urn="100001", status=422)
    assert problem["code"] == "school_not_open"
    assert problem["successors"] == [{"name": "Oakhill Academy", "urn": "100002"}]
    assert invite(urn="100009", status=422)["code"] == "school_unknown"


def test_an_invitation_beyond_the_daily_limit_is_refused_with_retry_after(invite, post, change_settings):
    change_settings(invitations={"max_a_day": 1})
    invite()
    document = {"urn": "123456", "contact": HEAD, "scope": "school"}
    refused = post(document=document, status=429)
    assert refused.json["code"] == "too_many_invitations"
    assert int(refused.headers["Retry-After"]) > 0


def test_pages_list_every_invitation_once_and_invalid_cursors_are_refused(invite, program, clock):
    made = []
    for number in range(5):
        made.append(invite(contact=HEAD | {"email": f"a{number}@oakhill.example"})["id"])
        if number % 2:
            clock.move(timedelta(microseconds=1))
    program.request_token("invitations")
    pages, path = [], f"{PATH}?limit=2"
    while True:
        page = program.get(path).json
        pages.append([invitation["id"] for invitation in page["invitations"]])
        if "next" not in page:
            break
        path = f"{PATH}?limit=2&cursor={page['next']}"
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {invitation for page in pages for invitation in page} == set(made)
    assert len(pages[0] + pages[1] + pages[2]) == len(made)
    assert program.get(f"{PATH}?state=accepted").json == {"invitations": []}
    for cursor in ("nonsense", "999999999999999999-sin_x", "1-"):
        assert program.get(f"{PATH}?cursor={cursor}", status=400).json["code"] == "invalid_request"


def test_an_invitation_is_sent_again_and_not_after_it_was_cancelled(invite, post, outbox):
    path = f"{PATH}/{invite()['id']}"
    assert post(f"{path}/resend").json["mails"] == 2
    assert len(outbox.all("partner_invitation")) == 2
    for _ in range(2):
        assert post(f"{path}/cancel").json["state"] == "cancelled"
    problem = post(f"{path}/resend", status=409).json
    assert (problem["code"], problem["detail"]) == ("invitation_over", "This invitation was cancelled.")


@pytest.mark.parametrize("disclose", [True, False])
def test_the_person_to_whom_an_invitation_was_forwarded_is_named_only_if_disclosed(
    disclose, invite, program, outbox, transaction
):
    invitation = invite()
    with transaction():
        answer.forward(outbox.last("partner_invitation").secret, BO, disclose=disclose)
    invitation_again = program.get(f"{PATH}/{invitation['id']}").json
    assert invitation_again["state"] == "forwarded"
    assert invitation_again.get("forwarded_to") == ({"name": BO.name, "email": BO.email} if disclose else None)
    assert disclose or BO.email not in program.get(PATH).text


def test_another_clients_invitation_is_not_found(invite, post, new_program, program):
    path = f"{PATH}/{invite()['id']}"
    other = new_program().request_token("invitations")
    assert other.get(path, status=404).json["code"] == "not_found"
    assert other.get(PATH).json == {"invitations": []}
    for verb in ("resend", "cancel"):
        assert post(f"{path}/{verb}", by=other, status=404).json["code"] == "not_found"
    assert program.get(path).json["state"] == "sent"


def test_a_token_without_the_scope_is_refused(new_program, post, transaction):
    other = new_program().request_token("schools.list")
    assert other.get(PATH, status=403).json["code"] == "insufficient_scope"
    document = {"urn": "123456", "contact": HEAD, "scope": "school"}
    assert post(document=document, by=other, status=403).json["code"] == "insufficient_scope"


def test_another_method_is_refused_with_those_that_the_path_has(program):
    headers = {"Authorization": f"Bearer {program.token}"}
    refused = program.web.delete(PATH, headers=headers)
    assert refused.status_code == 405
    assert {"GET", "POST"} <= set(refused.headers["Allow"].replace(" ", "").split(","))
    assert program.web.get(f"{PATH}/sin_x/resend", headers=headers).status_code == 405


def test_a_list_that_has_not_changed_is_304_for_its_etag(invite, program):
    invite()
    tag = program.get(PATH).headers["ETag"]
    assert program.get(PATH, status=304, **{"If-None-Match": tag}).data == b""


def test_a_refused_invitation_is_not_stored(invite, transaction):
    invite(contact=HEAD | {"email": "unknown"}, status=422)
    with transaction() as database:
        assert database.query(School).count() == 1
        assert database.query(SchoolInvitation).count() == 0
