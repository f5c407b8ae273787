"""The partner a registration began from: whose name the pages show, and how to get back to it.

In the browser that began, the kept request's own path is the way back. In any other, the partner starts anew
at its `initiate_login_uri` (OpenID Connect Core §4), or is at least named and linked to.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

from idp.foundation import clock, runtime
from idp.onboarding.models import Registration
from idp.partners import registry


@dataclass(frozen=True, slots=True)
class Origin:
    """A partner's application, as a school's page speaks of it."""

    client_id: str
    name: str
    address: str
    """Where a person without the request goes: the application starts over there, or it is its website or the
    company's. Empty where neither has any: an application that registered itself need not name one."""
    restarts: bool
    """Whether `address` starts a new request by itself."""


@dataclass(frozen=True, slots=True)
class WayOn:
    """How the person gets on with the partner from the browser they are in."""

    name: str
    address: str
    kind: str
    """`resume` the kept request, `restart` at the partner, or visit its `website`."""


def of_path(path: str | None) -> Origin | None:
    """The partner whose pending request has this local path; None where there is none we know."""
    named = parse_qs(urlsplit(path or "").query).get("client_id", [])
    return of_client(named[0]) if len(named) == 1 else None


def of_client(client_id: str | None) -> Origin | None:
    """The partner behind a client id; None for a stranger and for one that is disabled."""
    client = registry.client(client_id) if client_id else None
    if client is None:
        return None
    if client.initiate_login_uri:
        address = _with(client.initiate_login_uri, iss=runtime.settings().server.issuer)
        return Origin(client.id, client.client_name, address, restarts=True)
    return Origin(client.id, client.client_name, client.client_uri or client.partner_website, restarts=False)


def way_on(registration: Registration, browser: bytes | None) -> WayOn | None:
    """How to get from `registration` to the partner; None where no partner is behind it, or none that has a place.

    The request is resumed only in the browser that began the registration, and while it can still be alive.
    """
    partner = of_client(registration.client_id)
    if partner is None:
        return None
    alive = registration.created_at + timedelta(seconds=runtime.settings().tokens.interaction) > clock.now()
    if registration.return_to and alive and registration.began_in(browser):
        return WayOn(partner.name, registration.return_to, "resume")
    if not partner.address:
        return None
    return WayOn(partner.name, partner.address, "restart" if partner.restarts else "website")


def _with(uri: str, **more: str) -> str:
    """`uri` with parameters added to what its query has already."""
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(more)}"
