"""A partner's requests to go live with an application, or to ask schools for more."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select

from idp.developers import applications, sandbox
from idp.foundation.database import session
from idp.partners import manifest, registration_requests
from idp.partners.models import Client, RegistrationRequest
from idp.partners.registration_requests import RequestReview
from idp.sharing import agreements
from idp.signin.models import Developer

_DOCUMENTS: Final = ("policy_uri", "tos_uri", "agreement_uri", "agreement_version")
"""Pages of the partner, which its applications often have in common."""
_REPEATABLE_STATES: Final = frozenset({"declined", "withdrawn"})
_COPIED_FIELDS: Final = (
    "client_uri", "purpose", *_DOCUMENTS, "contacts", "scopes", "redirect_uris", "post_logout_redirect_uris",
    "initiate_login_uri",
)  # fmt: skip
"""What is taken over from a request that was declined or withdrawn."""


def base_manifest(client: Client) -> dict[str, Any]:
    """The manifest that the form begins with: that of a live application, or a sandbox one without its test data."""
    document = manifest.from_client(client)
    if not client.is_sandbox:
        return document
    del document["client_id"]
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        document[name] = [uri for uri in document[name] if uri.startswith("https:") and uri != sandbox.try_it_url()]
    document["client_name"] = client.client_name.removesuffix(sandbox.NAME_SUFFIX)
    empty = ("purpose", "policy_uri", "agreement_uri", "agreement_version", "client_uri")
    required = frozenset(document["scopes"]["required"])
    return {**document, **dict.fromkeys(empty, ""), "scopes": {"required": required}}


def prefill(developer: Developer, client: Client) -> tuple[dict[str, Any], dict[str, str]]:
    """What the form shows first, as a manifest, and the reason for each scope.

    For a sandbox application that is all that we know: its own registration and what it has asked fictional schools
    for; documents of the partner's newest live application; and the partner's newest request that was declined or
    withdrawn, so that it is not typed twice.
    """
    document = base_manifest(client)
    if not client.is_sandbox:
        return document, {}
    partner = developer.partner
    document |= {"client_uri": partner.website, "contacts": document.get("contacts") or [developer.email]}
    own = {name: getattr(client, name) for name in _DOCUMENTS if getattr(client, name) not in {"", partner.website}}
    if own.get("agreement_version") == sandbox.AGREEMENT_VERSION:
        del own["agreement_version"]
    live = _newest_live(partner.id)
    shared = {name: getattr(live, name) for name in _DOCUMENTS} if live is not None else {}
    document |= {**shared, **own}
    if client.purpose != sandbox.PURPOSE:
        document["purpose"] = client.purpose
    required = document["scopes"]["required"]
    offered = agreements.scopes_offered_by(client.id) & client.optional_scopes
    document["scopes"] = {"required": required, "optional": offered - required}
    former = next(
        (
            request
            for request in list_for_partner(developer)
            if request.client_id is None and request.state in _REPEATABLE_STATES
        ),
        None,
    )
    if former is None or former.manifest.get("client_name") not in {document["client_name"], None}:
        return document, {}
    typed = {name: former.manifest[name] for name in _COPIED_FIELDS if former.manifest.get(name)}
    return {**document, **typed}, dict(former.reasons)


def sandbox_redirect_uris(client: Client) -> list[str]:
    """The redirect URIs of a sandbox application that a live one cannot have, as they are not https."""
    return [uri for uri in client.redirect_uris if not uri.startswith("https:") and uri != sandbox.try_it_url()]


def _newest_live(partner_id: str) -> Client | None:
    statement = select(Client).where(Client.partner_id == partner_id, Client.is_sandbox.is_(False), Client.enabled)
    has_documents = Client.policy_uri != "", Client.agreement_uri != ""
    return (
        session()
        .scalars(statement.where(*has_documents).order_by(Client.created_at.desc(), Client.id).limit(1))
        .first()
    )


def ask(
    developer: Developer, client_id: str, document: Mapping[str, Any], *, version: int, reasons: Mapping[str, str]
) -> RegistrationRequest:
    """Send our staff a request. `version` is that of the registration which the form showed.

    Raises `UnknownApplication`, `ManagesItself`, `ChangedMeanwhile`, `NothingDiffers`, `TooManyRequests`, and
    `InvalidRedirectUri` or `InvalidClientMetadata` naming every error.
    """
    client = applications.find(developer, client_id)
    if applications.manages_itself(client):
        raise applications.ManagesItself(reason=client.id)
    if client.version != version:
        raise applications.ChangedMeanwhile(reason=client.id)
    live = None if client.is_sandbox else client
    return registration_requests.ask(developer.partner, document, client=live, reasons=reasons, by=developer.id)


def read(developer: Developer, request_id: str) -> RequestReview:
    """A request of the developer's partner. Raises `UnknownRequest`."""
    return registration_requests.read(registration_requests.find(request_id, partner_id=developer.partner_id))


def withdraw(developer: Developer, request_id: str) -> None:
    """Take a request back. Raises `UnknownRequest` and `AlreadyDecided`."""
    registration_requests.withdraw(request_id, partner_id=developer.partner_id, by=developer.id)


def list_for_partner(developer: Developer) -> list[RegistrationRequest]:
    """The requests of the developer's partner, the newest first."""
    return registration_requests.list_for_partner(developer.partner_id)
