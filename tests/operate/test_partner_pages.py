"""The pages on which our staff manage partners' developers, as `idp developers` does."""

import pytest

from idp.partners import companies
from idp.signin.code_accounts import DEVELOPERS
from tests import factories
from tests.code_accounts import a_developer, sign_in

PATHS = ("/operate/partners", "/operate/partners/{}")


@pytest.fixture
def partner_id(transaction, clock):
    with transaction():
        partner = factories.a_partner(name="Assembly")
        factories.a_client(partner, id="assembly", client_name="Assembly Connector")
        return partner.id


def test_a_person_is_invited_listed_and_removed(operator, stranger, partner_id, transaction, outbox):
    operator.open("/operate")
    operator.open(operator.page.find("a", string="Partners")["href"])
    operator.open(operator.page.find("a", string="Assembly")["href"])
    assert "Assembly Connector" in operator.page_text
    operator.post(f"/operate/partners/{partner_id}", name="Sam Lee", email="sam@assembly.example", is_owner="y")
    assert operator.response.status_code == 303
    assert outbox.last("developer_invitation").to == "sam@assembly.example"
    operator.open(f"/operate/partners/{partner_id}")
    assert "Sam Lee , sam@assembly.example owner invited" in operator.page_text
    with transaction():
        sam = DEVELOPERS.find_by_address("sam@assembly.example")
        assert sam.is_owner
        assert sam.invited_by.startswith("opr_")
        sam_id = sam.id
    operator.post(f"/operate/partners/{partner_id}/people/{sam_id}/remove")
    operator.open(f"/operate/partners/{partner_id}")
    assert "removed" in operator.page_text
    assert stranger.open(outbox.last("developer_invitation").path).status_code == 410


def test_a_wrong_email_address_is_explained_and_the_typed_name_is_kept(operator, partner_id, outbox):
    operator.submit(f"/operate/partners/{partner_id}", name="Sam Lee", email="sam at assembly")
    assert operator.response.status_code == 422
    assert "Enter an e-mail address in the right form" in operator.page_text
    assert operator.page.find(id="name")["value"] == "Sam Lee"
    assert outbox.all("developer_invitation") == []


def test_a_person_of_another_partner_is_not_removed_through_this_one(operator, partner_id, transaction):
    with transaction():
        other, _ = a_developer(factories.a_partner(name="Timetabler"), "al@timetabler.example")
        other_id = other.id
    operator.open(f"/operate/partners/{partner_id}")
    path = f"/operate/partners/{partner_id}/people/{other_id}/remove"
    assert operator.web.post(path, data={"csrf_token": operator.token}).status_code == 404
    with transaction():
        assert DEVELOPERS.find_by_address("al@timetabler.example").disabled_at is None


@pytest.mark.parametrize("partner", ["par_unknown", "a\x7fb", "%00"])
def test_an_unknown_partner_is_not_found(operator, partner):
    assert operator.open(f"/operate/partners/{partner}").status_code == 404


def test_a_partners_developer_and_a_stranger_cannot_open_the_pages(stranger, jo, partner_id, transaction):
    assert stranger.open("/operate/partners").status_code == 404
    with transaction():
        _, seed = a_developer(companies.by_id(partner_id))
    sign_in(jo, "/developers", "sam@assembly.example", seed)
    for path in PATHS:
        assert jo.open(path.format(partner_id)).status_code == 404
    posted = jo.post_directly(f"/operate/partners/{partner_id}", name="X", email="x@assembly.example")
    assert posted.status_code == 404
