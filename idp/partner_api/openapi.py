"""The OpenAPI 3.1 description of the API, made from the types of its responses and parameters."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from flask import current_app

from idp.foundation import runtime, scopes
from idp.partner_api import problems
from idp.partner_api.operations import JSON, OPERATIONS, Operation
from idp.partner_api.responses import Problem

SCHEMAS: Final = "#/components/schemas/{name}"
DESCRIPTION: Final = (
    "What an application can request from us. Get an access token by client credentials at the token endpoint, with "
    "the scope that the operation names, and send it in the Authorization header: with the scheme Bearer, or with DPoP "
    "and a proof if it is bound to a key. Every error is a problem document (RFC 9457)."
)
_PATH_PARAMETER: Final = re.compile(r"<(\w+)>")


def document() -> dict[str, Any]:
    """The whole description."""
    settings, declared, catalogue = runtime.settings(), _paths(), scopes.catalogue()
    response_bodies = [operation.response_body for _, operation in declared if operation.response_body is not None]
    bodies = [operation.body for _, operation in declared if operation.body is not None]
    _, schemas = msgspec.json.schema_components([*response_bodies, *bodies, Problem], ref_template=SCHEMAS)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for path, operation in declared:
        paths[_PATH_PARAMETER.sub(r"{\1}", path)][operation.method.lower()] = _describe(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{settings.service.name}: API for partners", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": settings.server.issuer}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "client": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": runtime.url("/oauth/token"),
                            "scopes": {
                                name: scope.title for name, scope in catalogue.items() if scope.kind == "client"
                            },
                        }
                    },
                },
                "endpoint": {
                    "type": "http",
                    "scheme": "dpop",
                    "description": "From device authorization (RFC 8628), bound to the program's key (RFC 9449).",
                },
            },
        },
    }


def _paths() -> list[tuple[str, Operation]]:
    rules = current_app.url_map.iter_rules()
    named = ((rule.rule, OPERATIONS.get(rule.endpoint.removeprefix("partner_api."))) for rule in rules)
    return sorted(((path, operation) for path, operation in named if operation is not None), key=lambda pair: pair[0])


def _describe(path: str, operation: Operation) -> dict[str, Any]:
    statuses = ["too_many_requests", "busy"]
    if not operation.public:
        statuses = ["invalid_request", "invalid_token", "insufficient_scope", *statuses]
    if in_path := _PATH_PARAMETER.findall(path):
        statuses.append("not_found")
    statuses += operation.problem_codes
    body = operation.response_body
    content = {} if body is None else {"content": {JSON: {"schema": _reference(body)}}}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "security": _security(operation),
        "parameters": [*_in_path(in_path), *_in_query(operation.query), *_in_headers(operation.headers)],
        "responses": {
            str(operation.status): {"description": operation.summary, **content},
            **_problems(statuses),
        },
    }
    if operation.method == "GET":
        described["responses"]["304"] = {
            "description": "Not changed since the response whose `ETag` was sent in `If-None-Match`."
        }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(operation.body)}}}
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.public:
        return []
    return [{"endpoint" if operation.for_endpoints else "client": [operation.scope] if operation.scope else []}]


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": SCHEMAS.format(name=kind.__name__)}


def _problems(codes: Iterable[str]) -> dict[str, Any]:
    """The responses by their status; several kinds may have one status."""
    titles: dict[str, list[str]] = defaultdict(list)
    for code in codes:
        titles[str(problems.KINDS[code][0])].append(f"`{code}`: {problems.KINDS[code][1]}")
    content = {problems.MEDIA_TYPE: {"schema": _reference(Problem)}}
    return {
        status: {"description": "; ".join(descriptions), "content": content} for status, descriptions in titles.items()
    }


def _in_headers(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in headers.items()
    ]


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
    schema: dict[str, Any] = schemas[query.__name__]
    return schema
