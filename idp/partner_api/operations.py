"""What an operation of the API is: declared at its view, enforced at each request, and described by `openapi`."""

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
from idp.oidc import errors
from idp.oidc.clients import dpop
from idp.oidc.endpoints import presented_token
from idp.oidc.server import MAX_BODY_BYTES
from idp.oidc.tokens.access_tokens import Access
from idp.partner_api import problems, validation_errors
from idp.partner_api.answers import Answer

QueryT = TypeVar("QueryT", bound=Struct)
JSON: Final = "application/json"
NO_HEADERS: Final[Mapping[str, str]] = {}
CACHE_SECONDS: Final = 300
"""How long documents that are the same for all callers may be stored."""
Handler = Callable[..., Answer | None]


class InvalidParameter(BadRequest):
    """A parameter that cannot be read."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    name: str
    summary: str
    description: str
    method: str
    """`GET`, or another method if the operation changes something."""
    query: type[Struct]
    """The parameters of the query; those that it does not name are ignored."""
    body: type[Struct] | None
    """The JSON document that comes with it."""
    status: int
    """The status of the answer."""
    headers: Mapping[str, str]
    """Headers that it reads, and their meaning."""
    problems: tuple[str, ...]
    """Kinds of problems of its own."""
    answer: type[Answer] | None
    """None where it has no body (RFC 9110 §15.3.5)."""
    scope: str
    """What the client's own token has to cover; empty where any of its own scopes is enough."""
    for_schools: bool
    """Whether a token that was issued under a school's authorisation may be used too."""
    per_minute: int
    """Requests a minute that one client may send; one school's endpoint; or one address where no token is needed."""
    public: bool = False
    """Whether it needs no token."""
    for_endpoints: bool = False
    """Whether it needs a token issued under a school's authorisation that covers `scope` and is bound to a key."""


class NoQuery(Struct, frozen=True):
    """No parameters."""


OPERATIONS: Final[dict[str, Operation]] = {}
"""By the name of the view, which is also that of the operation."""


def operation(
    *, summary: str, query: type[Struct], answer: type[Answer] | None, scope: str, per_minute: int,
    for_schools: bool = False, for_endpoints: bool = False, method: str = "GET", body: type[Struct] | None = None,
    status: int = 200, headers: Mapping[str, str] = NO_HEADERS, problems_of: tuple[str, ...] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Callable[[Handler], security.View]:  # fmt: skip
    """Make a view of a function `handler(access, query, **path) -> answer`, and declare its operation.

    With a `body`, or `headers`, `handler` gets an argument of that name. An answer to a GET has an `ETag`, and is 304
    where the caller has it already (RFC 9110 §13.1.2).
    """

    def decorator(handler: Handler) -> security.View:
        description = (handler.__doc__ or "").strip()
        declared = Operation(
            handler.__name__, summary, description, method, query, body, status, headers, problems_of, answer, scope,
            for_schools, per_minute, for_endpoints=for_endpoints,
        )  # fmt: skip
        OPERATIONS[declared.name] = declared

        @wraps(handler)
        def view(**path: str) -> Response:
            try:
                access = _access(declared)
            except errors.OAuthError as error:
                return problems.from_token_error(error, scope)
            throttle.count(per_minute, declared.name, _counted_as(access, declared))
            arguments: dict[str, object] = {} if body is None else {"body": _read_body(body, max_body_bytes)}
            if headers:
                arguments["headers"] = {name: request.headers[name] for name in headers if name in request.headers}
            answered = handler(access, read(query, request.args), **arguments, **path)
            if answered is None:
                return dpop.with_nonce(Response(status=status))
            response = Response(msgspec.json.encode(answered), status, content_type=JSON)
            return _conditional(response) if method == "GET" else dpop.with_nonce(response)

        security.csrf_exempt(guarded := security.client(autocommit(view) if method == "GET" else view))
        return guarded

    return decorator


def public_document(
    *, summary: str, answer: type[Answer], per_minute: int
) -> Callable[[Callable[[], Answer]], security.View]:
    """Make a view of a function that returns the same for all callers, and declare its operation.

    Any cache may store the answer, and pages of any origin may read it.
    """

    def decorator(handler: Callable[[], Answer]) -> security.View:
        declared = Operation(
            handler.__name__, summary, (handler.__doc__ or "").strip(), "GET", NoQuery, None, 200, NO_HEADERS, (),
            answer,
            "", False, per_minute, public=True,
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


def read(kind: type[QueryT], values: Mapping[str, str]) -> QueryT:
    """The parameters of a query, by their type. Raises `InvalidParameter` naming the first that is wrong or missing."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    known = {name: value for name, value in values.items() if name in fields}
    for name, value in known.items():
        try:
            msgspec.convert(value, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            _, words = validation_errors.explain(error, fields[name].type, is_parameter=True)
            raise InvalidParameter(f"{name}: {words}", reason=name) from error
    for name, field in fields.items():
        if field.required and name not in known:
            raise InvalidParameter(f"{name}: is missing from the query", reason=name)
    return msgspec.convert(known, kind, strict=False)


def _read_body(kind: type[QueryT], max_bytes: int) -> QueryT:
    """The JSON document of the request. Raises `InvalidParameter` naming what is wrong with it."""
    request.max_content_length = max_bytes
    if request.mimetype != JSON:
        raise InvalidParameter(f"Content-Type: must be {JSON}", reason=request.mimetype[:80])
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.ValidationError as error:
        place, words = validation_errors.explain(error, kind)
        raise InvalidParameter(f"{place or 'body'}: {words}", reason=place) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameter("body: is not JSON", reason="") from error


def _access(declared: Operation) -> Access:
    access, scheme = presented_token.read(request)
    if declared.for_endpoints:
        if access.state is None or declared.scope not in access.scopes:
            detail = f"does not cover the scope {declared.scope}, for which a school connects a program"
            raise errors.InsufficientScope(detail, scheme)
        if "cnf" not in access.payload:
            raise errors.InvalidToken("is bound to no key; an endpoint needs DPoP", scheme)
    elif access.state is not None:
        if not declared.for_schools:
            raise errors.InsufficientScope("was issued for a school; this needs a token of the client's own", scheme)
    elif declared.scope and declared.scope not in access.scopes:
        raise errors.InsufficientScope(f"does not cover the scope {declared.scope}", scheme)
    return access


def _counted_as(access: Access, declared: Operation) -> str:
    """What requests are counted by: the client, or for endpoints, which are all of one client, the school."""
    return access.state.estab_id if declared.for_endpoints and access.state else access.client.id


def _conditional(response: Response) -> Response:
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    return dpop.with_nonce(response.make_conditional(request))  # type: ignore[arg-type]
