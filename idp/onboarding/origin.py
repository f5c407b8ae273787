"""The partner that a registration began from: the name that pages show, and the link back.

In the browser that began, the link back is the path of the kept request. In another browser it is the client's
`initiate_login_uri` (OpenID Connect Core §4), where the partner starts again, or else its website.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

from idp.foundation import clock, runtime
from idp.onboarding.models import Registration
from idp.partners import registry


@dataclass(frozen=True, slots=True)
class Origin:
    """A partner's application, as a school's page names it."""

    client_id: str
    name: str
    address: str
    """The link back without the kept request: `initiate_login_uri`, or the application's or company's website. Empty
    if there is none: an application that registered itself need not have one."""
    restarts: bool
    """Whether `address` starts a new authorization request."""


@dataclass(frozen=True, slots=True)
class ReturnLink:
    """The link by which the person returns to the partner from this browser."""

    name: str
    address: str
    kind: str
    """`resume` (the kept request), `restart` (at the partner) or `website`."""


def of_path(path: str | None) -> Origin | None:
    """The partner whose pending request has this local path; None if there is none."""
    client_ids = parse_qs(urlsplit(path or "").query).get("client_id", [])
    return of_client(client_ids[0]) if len(client_ids) == 1 else None


def of_client(client_id: str | None) -> Origin | None:
    """The partner of the client with this id; None if it is unknown or disabled."""
    client = registry.client(client_id) if client_id else None
    if client is None:
        return None
    if client.initiate_login_uri:
        address = _add_parameters(client.initiate_login_uri, iss=runtime.settings().server.issuer)
        return Origin(client.id, client.client_name, address, restarts=True)
    return Origin(client.id, client.client_name, client.client_uri or client.partner_website, restarts=False)


def return_link(registration: Registration, browser: bytes | None) -> ReturnLink | None:
    """The link from `registration` back to its partner; None if it has no partner, or the partner has no address.

    The request is resumed only in the browser that began the registration, and only while it can still be valid.
    """
    partner = of_client(registration.client_id)
    if partner is None:
        return None
    is_fresh = registration.created_at + timedelta(seconds=runtime.settings().tokens.interaction) > clock.now()
    if registration.return_to and is_fresh and registration.began_in(browser):
        return ReturnLink(partner.name, registration.return_to, "resume")
    if not partner.address:
        return None
    return ReturnLink(partner.name, partner.address, "restart" if partner.restarts else "website")


def _add_parameters(uri: str, **parameters: str) -> str:
    """`uri` with these parameters added to its query."""
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(parameters)}"
