"""Introspection (RFC 7662): whether a token is good now, told to its client, and to the API that it is for."""

from typing import Any

from flask import Request as FlaskRequest, Response

from idp.foundation import database, scopes
from idp.oidc import errors, families, server as protocol, tokens
from idp.oidc.client import OAuthClient
from idp.oidc.incoming import Request
from idp.oidc.server import Server
from idp.oidc.tokens import Access

DEAD = {"active": False}
"""All that is said of a token that is dead, unknown or somebody else's (security.md S24)."""


def answer(asked: FlaskRequest) -> Response:
    """What is known of the token, as JSON whatever `Accept` says. `token_type_hint` is not needed."""
    database.one_by_one()  # noting an assertion is one statement, which stands by itself
    return protocol.answer_client(asked, _look)


def _look(_server: Server, request: Request) -> Response:
    if request.client.registered.is_public:
        raise errors.invalid_client()  # whoever asks has to prove who they are (RFC 7662 §2.1)
    if (token := request.sent.get("token")) is None:
        raise errors.invalid("token", "missing")
    said = about(token, request.client)
    return protocol.answered(said)


def about(token: str, asking: OAuthClient) -> dict[str, Any]:
    """What `asking` may know about `token`: an API learns of the scopes that it serves, and not of others."""
    if (access := tokens.read(token)) is not None:
        if access.client.id == asking.id:
            return {"active": True, **tokens.now(access)}
        if asking.registered.resource in _audience(access):
            served = scopes.format(access.scopes & asking.registered.resource_scopes)
            return {"active": True, **tokens.now(access), "scope": served}
        return DEAD
    if (family := families.find(token)) is not None and family.client_id == asking.id:
        return families.now(token, asking) or DEAD
    return DEAD


def _audience(access: Access) -> list[str]:
    said = access.said["aud"]
    return [said] if isinstance(said, str) else said
