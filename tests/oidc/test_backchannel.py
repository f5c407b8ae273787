"""Clients are told that a browser session has ended (OpenID Connect Back-Channel Logout 1.0)."""

import json
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from idp.estabs.models import Estab
from idp.keys import ring
from idp.outbox import deliver, post
from idp.outbox.models import Message
from idp.partners import registry
from idp.partners.models import Client
from idp.signin import session as sessions
from tests import factories
from tests.oidc.receiving import a_receiver
from tests.oidc.support import follow_redirects, obtain_tokens, press, sign_in, sign_in_and_authorise

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def receiver():
    with a_receiver() as partner:
        yield partner


@pytest.fixture
def partner(world, receiver):
    return world.new_partner(backchannel_logout_uri=receiver.uri)


class SignIn(NamedTuple):
    """The tokens of a sign-in, and the claims of its ID Token."""

    tokens: dict[str, Any]
    claims: dict[str, Any]


def sign_in_for_tokens(web, partner, world, **overrides):
    tokens = obtain_tokens(web, partner, world.username, **overrides)
    return SignIn(tokens, world.claims(tokens["id_token"], "JWT"))


def sign_out(web):
    press(web, web.get("/sign-out"), "sign-out")


def deliver_all(transaction):
    """Deliver the messages to clients; returns how many deliveries were tried."""
    return sum(iter(lambda: deliver.run_once(transaction, "event"), 0))


def queued_events(transaction):
    """The messages to clients in the outbox, oldest first."""
    with transaction() as session:
        return list(
            session.scalars(select(Message).where(Message.kind == "event").order_by(Message.created_at, Message.id))
        )


def test_signing_out_sends_one_logout_token_that_says_who_and_which_session(web, world, partner, receiver, clock):
    _, claims = sign_in_for_tokens(web, partner, world)
    sign_out(web)
    assert deliver_all(world.transaction) == 1
    (request,) = receiver.requests
    assert request["form"].keys() == {"logout_token"}
    assert request["type"] == "application/x-www-form-urlencoded"
    assert request["query"] == b""
    with world.transaction():
        logout_claims = ring.verify(receiver.tokens[0], typ="logout+jwt", algs=("RS256",))
    now = int(clock.now().timestamp())
    assert logout_claims.keys() == {"iss", "aud", "iat", "exp", "jti", "events", "sub", "sid"}
    assert (logout_claims["iss"], logout_claims["aud"], logout_claims["sub"], logout_claims["sid"]) == (
        claims["iss"],
        partner.id,
        claims["sub"],
        claims["sid"],
    )
    assert (logout_claims["iat"], logout_claims["exp"]) == (now, now + 120)
    assert logout_claims["events"] == {EVENT: {}}


def test_signing_out_by_the_logout_endpoint_notifies_clients(web, world, partner, receiver):
    tokens, _ = sign_in_for_tokens(web, partner, world)
    web.get("/oauth/logout", query_string={"id_token_hint": tokens["id_token"]})
    deliver_all(world.transaction)
    assert len(receiver.requests) == 1


def test_sessions_that_our_staff_end_notify_clients(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    with world.transaction():
        sessions.end_all(world.person, "staff")
    deliver_all(world.transaction)
    assert len(receiver.requests) == 1


def test_each_client_of_the_session_is_notified_once_and_no_other(web, world, partner, receiver):
    without_uri = world.new_partner()
    without_id_token = world.new_partner(backchannel_logout_uri=receiver.uri)
    public = world.new_partner(backchannel_logout_uri=receiver.uri, token_endpoint_auth_method="none")
    for client in (partner, without_uri, public):
        sign_in_for_tokens(web, client, world)
    sign_in_for_tokens(web, partner, world)
    sign_in_and_authorise(web, without_id_token, world.username, scope="school")
    sign_out(web)
    deliver_all(world.transaction)
    with world.transaction():
        audiences = [ring.verify(token, typ="logout+jwt")["aud"] for token in receiver.tokens]
    assert sorted(audiences) == sorted([partner.id, public.id])


def test_ending_a_session_twice_notifies_once(web, world, partner, receiver):
    _, claims = sign_in_for_tokens(web, partner, world)
    sign_out(web)
    with world.transaction():
        sessions.end(claims["sid"], "again")
    assert deliver_all(world.transaction) == 1


def test_the_token_is_signed_like_the_id_token(web, world, receiver):
    partner = world.new_partner(backchannel_logout_uri=receiver.uri, id_token_signed_response_alg="ES256")
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    with world.transaction():
        assert ring.verify(receiver.tokens[0], typ="logout+jwt", algs=("ES256",))


def test_a_pairwise_client_gets_its_own_subject(web, world, receiver):
    partner = world.new_partner(
        backchannel_logout_uri=receiver.uri, subject_type="pairwise", sector_identifier="assembly.example"
    )
    _, claims = sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    with world.transaction():
        logout_claims = ring.verify(receiver.tokens[0], typ="logout+jwt")
    assert (logout_claims["sub"], logout_claims["sid"]) == (claims["sub"], claims["sid"])
    assert logout_claims["sub"].startswith("prs_")


def test_signing_out_revokes_no_refresh_token(web, world, partner, receiver):
    tokens, _ = sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    assert partner.refresh(web, tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("status", [200, 204, 202])
def test_any_2xx_response_completes_the_delivery(web, world, partner, receiver, status):
    receiver.statuses = [status]
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    assert deliver_all(world.transaction) == 1
    (message,) = queued_events(world.transaction)
    assert message.sent_at is not None
    assert message.sealed is None


def test_a_400_response_is_not_retried(web, world, partner, receiver, clock):
    receiver.statuses = [400]
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    (message,) = queued_events(world.transaction)
    assert message.failed_at is not None
    assert "400" in message.last_error


@pytest.mark.parametrize("status", [500, 503, 404, 302, 429])
def test_any_other_response_is_retried_with_the_same_jti_and_a_new_token(
    web, world, partner, receiver, clock, status
):  # fmt: skip
    receiver.statuses = [status]
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    assert len(receiver.requests) == 1
    clock.move(timedelta(minutes=5))
    deliver_all(world.transaction)
    assert len(receiver.requests) == 2
    with world.transaction():
        again = ring.verify(receiver.tokens[1], typ="logout+jwt")
        with pytest.raises(ring.TokenNotVerified, match="expired"):
            ring.verify(receiver.tokens[0], typ="logout+jwt")
        assert again["jti"] == ring.verify_hint(receiver.tokens[0], typ="logout+jwt")["jti"]
    assert queued_events(world.transaction)[0].sent_at is not None


def test_an_unreachable_client_is_notified_again(web, world, clock):
    partner = world.new_partner(backchannel_logout_uri="http://127.0.0.1:1/unreachable")
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    (message,) = queued_events(world.transaction)
    assert message.failed_at is None
    assert message.due_at > clock.now()


def test_a_client_that_was_disabled_meanwhile_is_not_notified(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    with world.transaction():
        registry.disable(partner.id, by="cli")
    deliver_all(world.transaction)
    assert receiver.requests == []
    assert queued_events(world.transaction)[0].failed_at is not None


def test_a_client_that_moved_meanwhile_is_notified_at_its_new_address(web, world, receiver, clock):
    partner = world.new_partner(backchannel_logout_uri="http://127.0.0.1:1/before")
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    world.change(Client, partner.id, backchannel_logout_uri=receiver.uri)
    clock.move(timedelta(minutes=1))
    deliver_all(world.transaction)
    assert len(receiver.tokens) == 1


def test_a_client_that_left_its_address_meanwhile_is_not_notified(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    world.change(Client, partner.id, backchannel_logout_uri=None)
    deliver_all(world.transaction)
    assert receiver.requests == []
    assert "no address" in queued_events(world.transaction)[0].last_error


def test_a_logout_token_is_accepted_neither_as_hint_nor_as_access_token(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    deliver_all(world.transaction)
    token = receiver.tokens[0]
    assert "id_token_hint" in web.get("/oauth/logout", query_string={"id_token_hint": token}).text
    assert web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_signing_in_again_for_a_client_does_not_sign_the_others_out(web, world, partner, receiver):
    _, first = sign_in_for_tokens(web, partner, world)
    other = world.new_partner()
    response = follow_redirects(web, web.get(other.link(prompt="login")))
    follow_redirects(web, sign_in(web, response, world.username))
    assert deliver_all(world.transaction) == 0
    sign_out(web)
    deliver_all(world.transaction)
    with world.transaction():
        assert ring.verify(receiver.tokens[0], typ="logout+jwt")["sid"] == first["sid"]
    assert len(receiver.requests) == 1


def test_another_person_signing_in_at_the_browser_ends_the_earlier_session(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="second")
    sign_in(web, web.get("/sign-in?next=/mobile"), "second")
    deliver_all(world.transaction)
    assert len(receiver.requests) == 1


def test_a_sign_in_without_an_id_token_notifies_no_client(web, world, receiver):
    partner = world.new_partner(backchannel_logout_uri=receiver.uri, required_scopes=frozenset({"school", "openid"}))
    sign_in_and_authorise(web, partner, world.username, scope="school")
    sign_out(web)
    assert deliver_all(world.transaction) == 0


def test_a_waiting_message_holds_only_ids_and_is_sealed(web, world, partner, receiver):
    sign_in_for_tokens(web, partner, world)
    sign_out(web)
    (message,) = queued_events(world.transaction)
    assert world.person not in message.sealed
    with world.transaction():
        facts = json.loads(post.unseal(message).text)
    assert facts.keys() == {"client_id", "person", "sid"}


def test_discovery_announces_back_channel_logout(web):
    metadata = web.get("/.well-known/openid-configuration").json
    assert metadata["backchannel_logout_supported"] is True
    assert metadata["backchannel_logout_session_supported"] is True
