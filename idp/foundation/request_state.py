"""The state of one request, command or job: one typed object in Flask's `g`, which no other module reads.

A package above the foundation that has to store something of its own declares a class for it and gets its one object by
`part`. Two libraries store values in `g` too; what their public functions cannot do with those is done here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from flask import Request, g, request as request_proxy
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

PartT = TypeVar("PartT")
_NAME: Final = "idp"


@dataclass(slots=True)
class RequestState:
    """What the foundation remembers of a request, and the parts of other packages."""

    connection: Connection | None = None
    """The connection in use, of which there is one at a time."""
    has_session: bool = False
    """Whether the ORM's session was used."""
    autocommit: bool = False
    """Whether each statement runs in a transaction of its own, as declared by `@autocommit` on the route."""
    before_commit: Callable[[], object] | None = None
    """A statement that locks a row which other transactions lock last; it runs at the end of the request."""
    csp_nonce: str | None = None
    """The nonce of this response's content security policy; None until it is needed."""
    allows_form_redirects: bool = False
    """Whether the policy of this page leaves `form-action` out."""
    keeps_opener: bool = False
    """Whether this response keeps its `window.opener`."""
    secret_page_back_to: str | None = None
    """The URL that the browser's history gets for a page that shows a secret; None for every other page."""
    draft_is_loaded: bool = False
    """Whether `draft` was loaded."""
    draft: MultiDict[str, str] | None = None
    """The fields to show in this page's form (`foundation/web/form_drafts`)."""
    parts: dict[type, Any] = field(default_factory=dict)
    """One object for each class that was given to `part`."""


def current() -> RequestState:
    """The state of the current request, command or job."""
    values = vars(g._get_current_object())  # noqa: SLF001  the proxy takes three microseconds, many times a request
    state: RequestState | None = values.get(_NAME)
    if state is None:
        state = values[_NAME] = RequestState()
    return state


def request() -> Request:
    """The request itself: Flask's proxy looks it up anew for each attribute, which busy endpoints read a dozen of."""
    return cast("Request", request_proxy._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def part(kind: type[PartT]) -> PartT:
    """The one object of the class `kind` that this request has; it is made, without arguments, when first asked for."""
    parts = current().parts
    instance = parts.get(kind)
    if instance is None:
        instance = parts[kind] = kind()
    return cast("PartT", instance)


def user() -> object | None:
    """The user that Flask-Login has loaded; None until then.

    Its `current_user` reads the form cookie first, which costs the check of a signature.
    """
    return cast("object | None", g.get("_login_user"))


def set_user(signed_in: object) -> None:
    """Set the signed-in user for the rest of this request; `login_user` would write to the form cookie too."""
    g._login_user = signed_in  # noqa: SLF001  where Flask-Login keeps it


def forget_user() -> None:
    """Make Flask-Login load the user again; `logout_user` would write to the form cookie."""
    g.pop("_login_user", None)


def forget_csrf_token() -> None:
    """Have Flask-WTF make a new token for the next form; it has no function for that."""
    g.pop("csrf_token", None)
