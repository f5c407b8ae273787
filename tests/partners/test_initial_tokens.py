"""Which initial access tokens can register a client, until the second at which they expire."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.partners import initial_tokens, registry
from idp.partners.metadata import InvalidClientMetadata
from idp.partners.models import InitialAccessToken
from tests.factories import a_partner

DAY = timedelta(days=1)


class InitialToken(NamedTuple):
    """An initial access token."""

    id: str
    secret: str


@pytest.fixture
def token(transaction, clock):
    """The id and the secret of an initial access token for two clients, valid for a day."""
    with transaction():
        allowed = {"scopes": {"required": ["openid"]}, "most": 2}
        row, secret = initial_tokens.issue(a_partner(name="Assembly").name, allowed, lasts=DAY, by="cli")
        return InitialToken(row.id, secret)


def token_state(transaction, token):
    """The state that is shown of the token, whether it is accepted, and whether it can register one more client."""
    with transaction() as database:
        state = initial_tokens.state(database.get_one(InitialAccessToken, token.id))
        return state, initial_tokens.find_usable(token.secret) is not None, initial_tokens.claim(token.id)


def test_a_token_for_two_clients_can_be_used_twice(transaction, token):
    assert token_state(transaction, token) == ("usable", True, True)
    assert token_state(transaction, token) == ("usable", True, True)
    assert token_state(transaction, token) == ("used up", False, False)


def test_a_token_is_usable_until_the_second_at_which_it_expires(transaction, token, clock):
    clock.move(DAY - timedelta(seconds=1))
    assert token_state(transaction, token) == ("usable", True, True)
    clock.move(timedelta(seconds=1))
    assert token_state(transaction, token) == ("expired", False, False)


def test_a_revoked_token_is_not_usable(transaction, token):
    with transaction():
        initial_tokens.revoke(token.id, by="cli")
    assert token_state(transaction, token) == ("revoked", False, False)


def test_a_token_is_not_usable_while_its_partner_is_disabled(transaction, token):
    with transaction():
        registry.switch_partner("Assembly", on=False)
    assert token_state(transaction, token) == ("partner disabled", False, False)
    with transaction():
        registry.switch_partner("Assembly", on=True)
    assert token_state(transaction, token) == ("usable", True, True)


def test_a_registration_is_limited_to_what_the_operator_allowed(transaction, token):
    with transaction() as database:
        row = database.get_one(InitialAccessToken, token.id)
        policy = initial_tokens.find_usable(token.secret)

        assert policy == initial_tokens.Policy(
            token_id=row.id, partner_id=row.partner_id, partner_name="Assembly", profile="oidc",
            required=frozenset({"openid"}), optional=frozenset(), client=frozenset(), require_pkce=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    "allowed", [{"required": ["openid", "endpoint"]}, {"optional": ["endpoint"]}, {"client": ["reads.report"]}]
)
def test_no_token_allows_a_scope_that_only_our_staff_register_clients_for(transaction, allowed):
    with transaction(), pytest.raises(InvalidClientMetadata, match="only our staff"):
        initial_tokens.issue(a_partner(name="Assembly").name, {"scopes": allowed}, lasts=DAY, by="cli")
