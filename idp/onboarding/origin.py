"""The partner that a registration began from: the name that pages show, and the link back.

In the browser that began, the link back is the path of the pending request. In another browser it is the client's
`initiate_login_uri` (OpenID Connect Core §4), where the partner starts again, or else its website.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from idp.foundation import clock, runtime
from idp.onboarding.models import Registration
from idp.partners import start_link
from idp.partners.start_link import StartLink


@dataclass(frozen=True, slots=True)
class ReturnLink:
    """The link by which the person returns to the partner from this browser."""

    name: str
    url: str
    kind: str
    """`resume` (the pending request), `restart` (at the partner) or `website`."""


def find_by_path(path: str | None) -> StartLink | None:
    """The partner whose pending request has this local path; None if there is none."""
    client_ids = parse_qs(urlsplit(path or "").query).get("client_id", [])
    return start_link.for_client(client_ids[0]) if len(client_ids) == 1 else None


def return_link(registration: Registration, browser: bytes | None) -> ReturnLink | None:
    """The link from `registration` back to its partner; None if it has no partner, or the partner has no URL.

    The request is resumed only in the browser that began the registration, and only while it can still be valid.
    """
    partner = start_link.for_client(registration.client_id)
    if partner is None:
        return None
    is_fresh = registration.created_at + timedelta(seconds=runtime.settings().tokens.interaction) > clock.now()
    if registration.return_to and is_fresh and registration.began_in(browser):
        return ReturnLink(partner.name, registration.return_to, "resume")
    if not partner.url:
        return None
    return ReturnLink(partner.name, partner.url, "restart" if partner.restarts else "website")
