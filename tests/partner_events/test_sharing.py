"""A school's decision is sent as an event to the client that it is about, and to no other."""

import contextlib
from datetime import timedelta

import pytest

from idp.estabs import accounts
from idp.estabs.models import Estab
from idp.foundation.database import session
from idp.partner_events.models import PartnerEvent
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import authorise, expiry, reviewing, reviews
from tests.partner_events.receiving import names, verify_event


def test_a_new_authorisation_is_pushed_as_a_signed_token_with_the_facts_of_the_api(school, push, endpoint, keys):
    agreement = school.give()
    assert push() == 1
    assert endpoint.requests[0]["headers"]["Content-Type"] == "application/secevent+jwt"
    header, claims = verify_event(endpoint.requests[0]["token"], keys)
    assert header["typ"] == "secevent+jwt"
    assert claims.keys() == {"iss", "aud", "iat", "jti", "toe", "sub_id", "events"}, "neither sub nor exp"
    assert claims["aud"] == school.client_id
    assert claims["sub_id"] == {"format": "opaque", "id": school.public_id}
    assert claims["events"] == {
        f"{claims['iss']}/events/sharing-authorised": {
            "estab_id": school.public_id, "status": "active", "verification": "verified",
            "scope": "openid profile email phone organisation offline_access school students",
            "until": agreement.until.isoformat().replace("+00:00", "Z"),
        }
    }  # fmt: skip


def test_each_change_of_an_agreement_is_sent_in_order(school, push, endpoint):
    school.give()
    school.decide(authorise.change, _with("attendance", school), second_step=True)
    school.decide(authorise.pause)
    school.decide(authorise.resume)
    school.decide(authorise.withdraw)
    school.give()
    push()
    assert names(endpoint.accepted) == [
        "sharing-authorised", "sharing-changed", "sharing-paused", "sharing-resumed", "sharing-withdrawn",
        "sharing-authorised",
    ]  # fmt: skip
    facts = [next(iter(claims["events"].values())) for claims in endpoint.accepted]
    assert [fact["status"] for fact in facts] == ["active", "active", "paused", "active", "withdrawn", "active"]
    assert "attendance" in facts[1]["scope"]
    assert facts[2]["scope"] == "", "nothing is given while it is paused"
    assert "attendance" in facts[2]["withheld_scope"]


def test_the_event_of_a_declined_review_has_the_scopes_that_were_declined(school, push, endpoint, transaction):
    school.give()
    with transaction():
        client = session().get_one(Client, school.client_id)
        client.required_scopes |= {"attendance"}
        client.agreement_version = "2027"
        registry.bump_version(client)
    with transaction():
        (before,) = authorise.current(school.estab_id)
        seen = {"replaces": before.id, "shown": reviews.find_pending(before).shown}
    school.decide(reviewing.decline, **seen)
    push()
    assert names(endpoint.accepted) == ["sharing-authorised", "sharing-review-declined"]
    (fact,) = endpoint.accepted[1]["events"].values()
    assert (fact["declined_scope"], fact["declined_agreement_version"]) == ("attendance", "2027")
    assert fact["status"] == "active"
    assert "attendance" not in fact["scope"], "what was agreed continues"
    (first,) = endpoint.accepted[0]["events"].values()
    assert "declined_scope" not in first


def _with(scope, school):
    with school.transaction():
        return session().get_one(Client, school.client_id).required_scopes | {scope}


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ("unverified", "verified", "school-verified"),
        ("unverified", "rejected", "school-rejected"),
        ("verified", "suspended", "account-disabled"),
        ("suspended", "verified", "account-enabled"),
    ],
)
def test_decisions_of_our_staff_about_a_school_are_sent_to_its_partners(
    transaction, new_school, push, endpoint, before, after, event
):
    school = new_school(state="unverified" if before == "unverified" else "verified")
    school.give()
    with transaction():
        if before == "suspended":
            accounts.change_state(session().get_one(Estab, school.estab_id), "suspended", by="cli")
        accounts.change_state(session().get_one(Estab, school.estab_id), after, by="cli")
    push()
    uri, facts = next(iter(endpoint.accepted[-1]["events"].items()))
    assert uri.endswith(event)
    assert uri.startswith("https://schemas.openid.net/secevent/risc/") is event.startswith("account-")
    assert facts["verification"] == after
    assert ("students" in facts["scope"]) is (after == "verified")


def test_no_event_is_sent_to_a_client_with_which_the_school_does_not_share(
    transaction, school, make_stream, push, endpoint
):
    make_stream(endpoint.url)
    school.give()
    school.decide(authorise.withdraw)
    with transaction():
        accounts.change_state(session().get_one(Estab, school.estab_id), "suspended", by="cli")
    push()
    assert names(endpoint.accepted) == ["sharing-authorised", "sharing-withdrawn"]


def test_no_event_is_sent_of_a_change_that_was_rolled_back(transaction, school, push, endpoint):
    def fail():
        with transaction():
            school.transaction = contextlib.nullcontext  # in the transaction that is open
            school.give()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert push() == 0


def test_only_the_events_that_a_client_wants_are_recorded(transaction, new_school, make_stream, endpoint):
    school = new_school()
    wanting_one_type = make_stream(endpoint.url, events_types=frozenset({"sharing-withdrawn"}))
    school.client_id = wanting_one_type
    school.give()
    school.decide(authorise.withdraw)
    with transaction() as database:
        assert [event.name for event in database.query(PartnerEvent)] == ["sharing-withdrawn"]


def test_a_school_verified_during_its_authorisation_has_both_events(
    transaction, new_school, run_overlapping, push, endpoint
):
    school = new_school(state="unverified")

    def authorise_client():
        school.transaction = contextlib.nullcontext  # in the transaction that is open
        school.give()

    def verify_school():
        accounts.change_state(session().get_one(Estab, school.estab_id), "verified", by="cli")

    run_overlapping(authorise_client, verify_school)
    push()
    assert names(endpoint.accepted) == ["sharing-authorised", "school-verified"]


def test_events_are_sent_before_and_when_an_authorisation_expires(transaction, school, push, endpoint, clock):
    school.give()
    push()
    clock.move(timedelta(days=340))
    with transaction():
        expiry.remind_due()
    clock.move(timedelta(days=26))
    with transaction():
        expiry.remind_due()
    push()
    assert names(endpoint.accepted) == ["sharing-authorised", "sharing-expiring", "sharing-expired"]
    assert [next(iter(claims["events"].values()))["status"] for claims in endpoint.accepted[1:]] == [
        "active",
        "expired",
    ]
    assert endpoint.accepted[-1]["events"][endpoint.accepted[-1]["iss"] + "/events/sharing-expired"]["scope"] == ""
