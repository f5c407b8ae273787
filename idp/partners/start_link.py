"""Where a person starts in a partner's application: the link that a page or a mail of ours shows."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from idp.foundation import runtime
from idp.partners import registry


@dataclass(frozen=True, slots=True)
class StartLink:
    """A partner's application, as a school's page names it, and the link to it."""

    client_id: str
    name: str
    url: str
    """`initiate_login_uri`, or the application's or company's website. Empty if there is none: an application that
    registered itself need not have one."""
    restarts: bool
    """Whether `url` starts a new authorization request (OpenID Connect Core §4)."""


def for_client(client_id: str | None) -> StartLink | None:
    """The link of the client with this id; None if it is unknown or disabled."""
    client = registry.client(client_id) if client_id else None
    if client is None:
        return None
    if client.initiate_login_uri:
        url = _add_parameters(client.initiate_login_uri, iss=runtime.settings().server.issuer)
        return StartLink(client.id, client.client_name, url, restarts=True)
    return StartLink(client.id, client.client_name, client.client_uri or client.partner_website, restarts=False)


def _add_parameters(uri: str, **parameters: str) -> str:
    """`uri` with these parameters added to its query."""
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(parameters)}"
