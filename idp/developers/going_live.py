"""A partner's requests to go live with an application, or to ask schools for more."""

from collections.abc import Mapping
from typing import Any

from idp.developers import applications, sandbox
from idp.partners import manifest, registration_requests
from idp.partners.models import Client, RegistrationRequest
from idp.partners.registration_requests import Case
from idp.signin.models import Developer


def base(client: Client) -> dict[str, Any]:
    """The manifest that a request begins with: that of a live application, or what a sandbox application has of one."""
    document = manifest.of_client(client)
    if not client.is_sandbox:
        return document
    del document["client_id"]
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        document[name] = [uri for uri in document[name] if uri.startswith("https:") and uri != sandbox.try_it_address()]
    document["client_name"] = client.client_name.removesuffix(sandbox.SUFFIX)
    empty = ("purpose", "policy_uri", "agreement_uri", "agreement_version", "client_uri")
    required = frozenset(document["scopes"]["required"])
    return {**document, **dict.fromkeys(empty, ""), "scopes": {"required": required}}


def ask(
    developer: Developer, client_id: str, document: Mapping[str, Any], *, version: int, reasons: Mapping[str, str]
) -> RegistrationRequest:
    """Ask our staff. `version` is that of the registration which the form showed.

    Raises `UnknownApplication`, `ManagesItself`, `ChangedMeanwhile`, `NothingDiffers`, `TooManyRequests`, and
    `InvalidRedirectUri` or `InvalidClientMetadata` naming every fault.
    """
    client = applications.find(developer, client_id)
    if applications.manages_itself(client):
        raise applications.ManagesItself(reason=client.id)
    if client.version != version:
        raise applications.ChangedMeanwhile(reason=client.id)
    live = None if client.is_sandbox else client
    return registration_requests.ask(developer.partner, document, client=live, reasons=reasons, by=developer.id)


def read(developer: Developer, request_id: str) -> Case:
    """A request of the developer's partner. Raises `UnknownRequest`."""
    return registration_requests.read(registration_requests.find(request_id, partner_id=developer.partner_id))


def withdraw(developer: Developer, request_id: str) -> None:
    """Take a request back. Raises `UnknownRequest` and `AlreadyDecided`."""
    registration_requests.withdraw(request_id, partner_id=developer.partner_id, by=developer.id)


def of(developer: Developer) -> list[RegistrationRequest]:
    """The requests of the developer's partner, the newest first."""
    return registration_requests.of_partner(developer.partner_id)
