"""What a partner's people do with their own applications, by the same functions as `idp clients` and `idp events`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select

from idp.foundation import clock, scopes
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.scopes import Scope
from idp.partner_events import streams
from idp.partner_events.models import PartnerEvent
from idp.partner_events.streams import EventState, NoEventStream, Stream
from idp.partners import failure_log, manifest, registry
from idp.partners.models import Client, ClientEvent, ClientSecret, RegistrationToken
from idp.signin.models import Developer

OVERLAPS: Final = {"0": timedelta(0), "1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30)}
"""How long a former secret may still work, by the value that the form sends."""
MAX_SECRETS_PER_DAY: Final = 10
"""How many new secrets an application may be given in a day."""


class UnknownApplication(NotFound):
    """The partner has no such application; another partner may have it."""

    code, title = "unknown_application", "There is no such application"
    message = "Your company has no application with this client id."


class TooManySecrets(Refusal):
    """The application was given many new secrets today."""

    code, status, title = "too_many_secrets", 409, "This application has had many new secrets today"
    message = "This application has had many new secrets today. Please use the newest one, or try again tomorrow."


class ChangedMeanwhile(Refusal):
    """The registration is not the one that the form showed."""

    code, status, title = "changed_meanwhile", 409, "Someone else has changed this application"
    message = (
        "Someone else has changed this application in the meantime, so your change was not saved. "
        "Check it and send it again."
    )


class ManagesItself(Refusal):
    """The application registered itself, and changes its registration itself (RFC 7592)."""

    code, status, title = "manages_itself", 409, "This application manages its own registration"
    message = "This application registered itself, and manages its own registration (RFC 7592)."


@dataclass(frozen=True, slots=True)
class Application:
    """An application as its page shows it."""

    client: Client
    secrets: list[ClientSecret]
    """Those that still work, the oldest first."""
    failures: list[ClientEvent]
    areas: list[tuple[Scope, str]]
    """Each scope, and `required`, `optional` or `for itself`."""
    manages_itself: bool
    stream: Stream | None
    events: list[tuple[PartnerEvent, EventState]]
    """The newest events with their state."""

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The scopes as rows of a table."""
        return [(scope.name, scope.title, kind) for scope, kind in self.areas]

    @property
    def uses_keys(self) -> bool:
        """Whether it proves itself by keys, or has registered some."""
        return bool(self.client.jwks or self.client.jwks_uri)

    @property
    def has_secret(self) -> bool:
        """Whether it authenticates by a secret."""
        return self.client.token_endpoint_auth_method.startswith("client_secret")


def list_for_partner(developer: Developer) -> list[tuple[Client, int]]:
    """The applications of the developer's partner by name, each with the number of entries in its log."""
    failed = select(ClientEvent.client_id, func.count().label("entries")).group_by(ClientEvent.client_id).subquery()
    statement = (
        select(Client, func.coalesce(failed.c.entries, 0))
        .outerjoin(failed, failed.c.client_id == Client.id)
        .where(Client.partner_id == developer.partner_id, Client.removed_at.is_(None))
        .order_by(Client.client_name, Client.id)
    )
    return [(client, entries) for client, entries in session().execute(statement)]


def find(developer: Developer, client_id: str) -> Client:
    """An application of the developer's partner. Raises `UnknownApplication` for every other one, too."""
    client = session().get(Client, client_id) if registry.is_plausible_id(client_id) else None
    if client is None or client.partner_id != developer.partner_id or client.removed_at is not None:
        raise UnknownApplication(reason=f"{client_id[:100]!r} for {developer.id}")
    return client


def find_if_own(developer: Developer, client_id: str) -> Client | None:
    """An application of the developer's partner; None for every other id."""
    try:
        return find(developer, client_id)
    except UnknownApplication:
        return None


def read(developer: Developer, client_id: str) -> Application:
    """One application with its secrets, failures, scopes and events. Raises `UnknownApplication`."""
    client, now, catalogue = find(developer, client_id), clock.now(), scopes.catalogue()
    kinds = (
        ("required", client.required_scopes), ("optional", client.optional_scopes),
        ("for itself", client.client_scopes),
    )  # fmt: skip
    areas = [(catalogue[name], kind) for kind, names in kinds for name in catalogue if name in names]
    secrets = [row for row in registry.secrets_of(client.id) if row.expires_at is None or row.expires_at > now]
    try:
        stream = streams.find_by_client(client.id)
    except NoEventStream:
        stream = None
    newest = streams.newest(client.id, limit=20) if stream else []
    events = [(event, streams.state_of(event)) for event in newest]
    return Application(client, secrets, failure_log.newest(client.id), areas, manages_itself(client), stream, events)


def failures(developer: Developer, *, reference: str, client: Client | None) -> list[tuple[ClientEvent, Client]]:
    """Failed requests of the partner's applications, the newest first; of one application or request, if given."""
    return failure_log.list_for_partner(
        developer.partner_id, reference=reference, client_id=client.id if client else ""
    )


def rotate_secret(developer: Developer, client_id: str, overlap: timedelta) -> str:
    """Give the application a new secret, and return it, once; the former ones work for `overlap` at most.

    Raises `UnknownApplication`, `NoSecret` and `TooManySecrets`.
    """
    client = find(developer, client_id)
    lock(Client, client.id)
    since = clock.now() - timedelta(days=1)
    if sum(row.created_at > since for row in registry.secrets_of(client.id)) >= MAX_SECRETS_PER_DAY:
        raise TooManySecrets(reason=client.id)
    return registry.rotate_secret(client.id, overlap=overlap, by=developer.id)


def change_addresses(
    developer: Developer, client_id: str, *, version: int, redirect_uris: Sequence[str], after_logout: Sequence[str]
) -> Client:
    """Replace the redirect URIs and the URIs to go to after signing out.

    `version` is that of the registration which the form showed. Raises `UnknownApplication`, `ManagesItself`,
    `ChangedMeanwhile`, and `InvalidRedirectUri` or `InvalidClientMetadata` naming every error.
    """
    uris = {"redirect_uris": list(redirect_uris), "post_logout_redirect_uris": list(after_logout)}
    return _change(developer, client_id, version, uris)


def change_keys(
    developer: Developer, client_id: str, *, version: int, jwks: dict[str, Any] | None, jwks_uri: str
) -> Client:
    """Replace the application's public keys by a key set or by the URL of one.

    Raises the errors of `change_addresses`.
    """
    return _change(developer, client_id, version, {"jwks": jwks, "jwks_uri": jwks_uri or None})


def replay(developer: Developer, client_id: str, event_id: str) -> None:
    """Deliver an event again. Raises `UnknownApplication`, `NoEventStream` and `UnknownEvent`."""
    streams.replay(find(developer, client_id).id, [event_id], by=developer.id)


def _change(developer: Developer, client_id: str, version: int, replaced: dict[str, Any]) -> Client:
    """Replace some names of the manifest, if the registration is still at `version`."""
    client = find(developer, client_id)
    lock(Client, client.id)
    session().refresh(client)
    if manages_itself(client):
        raise ManagesItself(reason=client.id)
    if client.version != version:
        raise ChangedMeanwhile(reason=client.id)
    changed, _ = registry.change({**manifest.from_client(client), **replaced}, by=developer.id, makes_secret=False)
    return changed


def manages_itself(client: Client) -> bool:
    """Whether the application registered itself, and changes its registration itself (RFC 7592)."""
    own = select(RegistrationToken.client_id).where(RegistrationToken.client_id == client.id)
    return session().scalar(own) is not None
