"""Introspection (RFC 7662): whether a token is good now, told to the client it was issued to, and to no one else."""

from typing import Any

from flask import Request as FlaskRequest, Response, json

from idp.foundation import database
from idp.oidc import errors, families, server as protocol, tokens
from idp.oidc.client import OAuthClient
from idp.oidc.incoming import Request
from idp.oidc.server import NOT_STORED, Server

DEAD = {"active": False}
"""All that is said of a token that is dead, unknown or somebody else's (security.md S24)."""


def answer(asked: FlaskRequest) -> Response:
    """What is known of the token, as JSON whatever `Accept` says. `token_type_hint` is not needed."""
    database.only_reads()  # noting an assertion is one statement, which stands by itself
    return protocol.answer_client(asked, _look)


def _look(_server: Server, request: Request) -> Response:
    if request.client.registered.is_public:
        raise errors.invalid_client()  # whoever asks has to prove who they are (RFC 7662 §2.1)
    if (token := request.sent.get("token")) is None:
        raise errors.invalid("token", "missing")
    said = about(token, request.client)
    return Response(json.dumps(said), mimetype="application/json", headers=NOT_STORED)


def about(token: str, asking: OAuthClient) -> dict[str, Any]:
    """What `asking` may know about `token`."""
    if (access := tokens.read(token)) is not None:
        return {"active": True, **tokens.now(access)} if access.client.id == asking.id else DEAD
    if (family := families.find(token)) is not None and family.client_id == asking.id:
        return families.now(token, asking) or DEAD
    return DEAD
