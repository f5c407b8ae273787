"""The OpenAPI 3.1 description of the API, made from the types of its answers and parameters."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import msgspec
from flask import current_app

from idp.foundation import runtime, scopes
from idp.partner_api import problems
from idp.partner_api.answers import Problem
from idp.partner_api.operations import OPERATIONS, Operation

SCHEMAS: Final = "#/components/schemas/{name}"
DESCRIPTION: Final = (
    "What an application can ask us by itself. Get an access token by client credentials at the token endpoint, with "
    "the scope that the operation names, and send it in the Authorization header: with the scheme Bearer, or with DPoP "
    "and a proof if it is bound to a key. Every error is a problem document (RFC 9457)."
)
_PATH_PARAMETER: Final = re.compile(r"<(\w+)>")


def document() -> dict[str, Any]:
    """The whole description."""
    settings, declared, catalogue = runtime.settings(), _paths(), scopes.catalogue()
    answers = [each.answer for _, each in declared]
    _, schemas = msgspec.json.schema_components([*answers, Problem], ref_template=SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{settings.service.name}: API for partners", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": settings.server.issuer}],
        "paths": {_PATH_PARAMETER.sub(r"{\1}", path): {"get": _describe(path, each)} for path, each in declared},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "client": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": runtime.url("/oauth/token"),
                            "scopes": {name: each.title for name, each in catalogue.items() if each.kind == "client"},
                        }
                    },
                }
            },
        },
    }


def _paths() -> list[tuple[str, Operation]]:
    rules = current_app.url_map.iter_rules()
    named = ((rule.rule, OPERATIONS.get(rule.endpoint.removeprefix("partner_api."))) for rule in rules)
    return sorted(((path, each) for path, each in named if each is not None), key=lambda pair: pair[0])


def _describe(path: str, operation: Operation) -> dict[str, Any]:
    statuses = ["invalid_request", "invalid_token", "insufficient_scope", "too_many_requests", "busy"]
    if in_path := _PATH_PARAMETER.findall(path):
        statuses.append("not_found")
    answer = {"$ref": SCHEMAS.format(name=operation.answer.__name__)}
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "security": [{"client": [operation.scope] if operation.scope else []}],
        "parameters": [*_in_path(in_path), *_in_query(operation.query)],
        "responses": {
            "200": {"description": operation.summary, "content": {"application/json": {"schema": answer}}},
            "304": {"description": "Not changed since the answer whose `ETag` was sent in `If-None-Match`."},
            **{str(problems.KINDS[code][0]): _problem(code) for code in statuses},
        },
    }


def _problem(code: str) -> dict[str, Any]:
    schema = {"$ref": SCHEMAS.format(name=Problem.__name__)}
    return {"description": problems.KINDS[code][1], "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _in_path(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = _schema(query)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


@cache
def _schema(query: type[msgspec.Struct]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([query], ref_template=SCHEMAS)
    found: dict[str, Any] = schemas[query.__name__]
    return found
