"""Operations of the API: declared at their views, enforced at each request, and described by `openapi`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Final, TypeVar

import msgspec
from flask import Response, request
from msgspec import Struct

from idp.foundation.errors import BadRequest
from idp.foundation.web import security, throttle
from idp.foundation.web.transactions import autocommit
from idp.foundation.web.view import View
from idp.oidc import errors
from idp.oidc.authorization_server import MAX_BODY_BYTES
from idp.oidc.clients import dpop
from idp.oidc.endpoints import presented_token
from idp.oidc.tokens.access_tokens import Access
from idp.partner_api import problems, validation_errors
from idp.partner_api.responses import ResponseBody

StructT = TypeVar("StructT", bound=Struct)
JSON: Final = "application/json"
"""The media type of bodies and responses."""
NO_HEADERS: Final[Mapping[str, str]] = {}
CACHE_SECONDS: Final = 300
"""How long documents that are the same for all callers may be stored."""
Handler = Callable[..., ResponseBody | None]


class InvalidRequest(BadRequest):
    """A parameter, header or body that cannot be read."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Operation:
    """One HTTP method of one path."""

    name: str
    summary: str
    description: str
    method: str
    """`GET`, or another method if the operation changes something."""
    query: type[Struct]
    """The parameters of the query; unknown ones are ignored."""
    body: type[Struct] | None
    """The JSON document of the request; None if it has no body."""
    status: int
    """The status of a successful response."""
    headers: Mapping[str, str]
    """Request headers that it reads, and their meaning."""
    problem_codes: tuple[str, ...]
    """Problem codes that only this operation returns."""
    response_body: type[ResponseBody] | None
    """None if the response has no body (RFC 9110 §15.3.5)."""
    scope: str
    """The scope that the client's own token must cover; empty if a token of the client with any scope is accepted."""
    for_schools: bool
    """Whether a token that was issued under a school's authorisation may be used too."""
    per_minute: int
    """Requests a minute for each client; each school if `for_endpoints`; each IP address if `public`."""
    public: bool = False
    """Whether it needs no token."""
    for_endpoints: bool = False
    """Whether it needs a token issued under a school's authorisation that covers `scope` and is bound to a key."""


class NoQuery(Struct, frozen=True):
    """No parameters."""


OPERATIONS: Final[dict[str, Operation]] = {}
"""By the name of the view, which is also that of the operation."""


def operation(
    *, summary: str, query: type[Struct], response_body: type[ResponseBody] | None, scope: str, per_minute: int,
    for_schools: bool = False, for_endpoints: bool = False, method: str = "GET", body: type[Struct] | None = None,
    status: int = 200, headers: Mapping[str, str] = NO_HEADERS, problem_codes: tuple[str, ...] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Callable[[Handler], View]:  # fmt: skip
    """Make a view of a function `handler(access, query, **path) -> response body`, and declare its operation.

    With a `body`, or `headers`, `handler` gets an argument of that name. A response to a GET has an `ETag`, and is 304
    if the caller has it already (RFC 9110 §13.1.2).
    """

    def decorator(handler: Handler) -> View:
        declared = Operation(
            name=handler.__name__, summary=summary, description=(handler.__doc__ or "").strip(), method=method,
            query=query, body=body, status=status, headers=headers, problem_codes=problem_codes,
            response_body=response_body, scope=scope, for_schools=for_schools, for_endpoints=for_endpoints,
            per_minute=per_minute,
        )  # fmt: skip
        OPERATIONS[declared.name] = declared

        @wraps(handler)
        def view(**path: str) -> Response:
            try:
                access = _authenticate(declared)
            except errors.OAuthError as error:
                return problems.from_token_error(error, scope)
            throttle.count(per_minute, declared.name, _throttle_key(access, declared))
            arguments: dict[str, object] = {} if body is None else {"body": _read_body(body, max_body_bytes)}
            if headers:
                arguments["headers"] = {name: request.headers[name] for name in headers if name in request.headers}
            content = handler(access, parse_query(query, request.args), **arguments, **path)
            if content is None:
                return dpop.with_nonce(Response(status=status))
            response = Response(msgspec.json.encode(content), status, content_type=JSON)
            return _conditional(response) if method == "GET" else dpop.with_nonce(response)

        security.csrf_exempt(guarded := security.client(autocommit(view) if method == "GET" else view))
        return guarded

    return decorator


def public_document(
    *, summary: str, response_body: type[ResponseBody], per_minute: int
) -> Callable[[Callable[[], ResponseBody]], View]:
    """Make a view of a function that returns the same for all callers, and declare its operation.

    Any cache may store the response, and pages of any origin may read it.
    """

    def decorator(handler: Callable[[], ResponseBody]) -> View:
        declared = Operation(
            name=handler.__name__, summary=summary, description=(handler.__doc__ or "").strip(), method="GET",
            query=NoQuery, body=None, status=200, headers=NO_HEADERS, problem_codes=(), response_body=response_body,
            scope="", for_schools=False, per_minute=per_minute, public=True,
        )  # fmt: skip
        OPERATIONS[declared.name] = declared

        @wraps(handler)
        def view() -> Response:
            response = Response(msgspec.json.encode(handler()), content_type=JSON)
            response.add_etag()
            response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
            response.headers["Access-Control-Allow-Origin"] = "*"  # it is the same for all, and has no secret
            return response.make_conditional(request)  # type: ignore[return-value]

        return security.anyone(throttle.rate_limit(per_minute)(view))

    return decorator


def parse_query(kind: type[StructT], values: Mapping[str, str]) -> StructT:
    """The query's parameters as a `kind`. Raises `InvalidRequest` naming the first that is wrong or missing."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    known = {name: value for name, value in values.items() if name in fields}
    for name, value in known.items():
        try:
            msgspec.convert(value, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            _, message = validation_errors.explain(error, fields[name].type, is_parameter=True)
            raise InvalidRequest(f"{name}: {message}", reason=name) from error
    for name, field in fields.items():
        if field.required and name not in known:
            raise InvalidRequest(f"{name}: is missing from the query", reason=name)
    return msgspec.convert(known, kind, strict=False)


def _read_body(kind: type[StructT], max_bytes: int) -> StructT:
    """The JSON document of the request as a `kind`. Raises `InvalidRequest` naming what is wrong with it."""
    request.max_content_length = max_bytes
    if request.mimetype != JSON:
        raise InvalidRequest(f"Content-Type: must be {JSON}", reason=request.mimetype[:80])
    try:
        document = msgspec.json.decode(sent := request.get_data(), type=kind)
    except msgspec.ValidationError as error:
        path, message = validation_errors.explain(error, kind)
        raise InvalidRequest(f"{path or 'body'}: {message}", reason=path) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body: is not JSON", reason="") from error
    if b"\\u0000" in sent and _has_nul(msgspec.to_builtins(document)):
        raise InvalidRequest("body: has the character U+0000, which we cannot store", reason="")
    return document


def _has_nul(value: object) -> bool:
    """Whether a string in this JSON value, or the name of a member, has a NUL, which PostgreSQL cannot store."""
    if isinstance(value, dict):
        return any(map(_has_nul, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _authenticate(declared: Operation) -> Access:
    """The access token of this request. Raises `OAuthError` if it is not valid or does not cover the operation."""
    access, scheme = presented_token.read(request)
    if declared.for_endpoints:
        if access.state is None or declared.scope not in access.scopes:
            detail = f"does not cover the scope {declared.scope}, for which a school connects a program"
            raise errors.InsufficientScope(detail, scheme)
        if "cnf" not in access.payload:
            raise errors.InvalidToken("is not bound to a key; an endpoint must use DPoP", scheme)
    elif access.state is not None:
        if not declared.for_schools:
            raise errors.InsufficientScope("was issued for a school; this needs a token of the client's own", scheme)
    elif declared.scope and declared.scope not in access.scopes:
        raise errors.InsufficientScope(f"does not cover the scope {declared.scope}", scheme)
    return access


def _throttle_key(access: Access, declared: Operation) -> str:
    """The id by which requests are counted: of the client, or of the school for endpoints, which share one client."""
    return access.state.estab_id if declared.for_endpoints and access.state else access.client.id


def _conditional(response: Response) -> Response:
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    return dpop.with_nonce(response.make_conditional(request))  # type: ignore[arg-type]
