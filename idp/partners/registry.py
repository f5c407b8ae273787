"""The registered clients: read on every request, changed by operators.

`client` returns a frozen snapshot, which each process caches for at most `CACHE_SECONDS`. A caller that reads a
client's `version` along with other rows passes it to `drop_outdated`, which drops a snapshot of another version.
Redirect URIs are compared character by character, without patterns and without normalising (RFC 9700 §2.1).
"""

import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, or_, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.runtime import PerApplication
from idp.partners import change_notices, resources, sector, snapshots, uris
from idp.partners.manifest import parse_company, parse_manifest
from idp.partners.models import Client, ClientSecret, Partner, RegistrationToken, TrialKey
from idp.partners.snapshots import AnyClient, Snapshot

CACHE_SECONDS = 1.0
"""Seconds a snapshot is cached: an operator's change takes effect in every process after a second."""
MAX_ID_LENGTH = 255
"""Characters of a client id that is looked up."""
LOOPBACK_ORIGINS = ("http://127.0.0.1", "http://[::1]")
"""Redirect URIs of native apps on the person's machine; any port is allowed (RFC 8252 §7.3)."""


class UnknownClient(NotFound):
    """No client has that id."""

    code, title = "unknown_client", "There is no such client"
    message = "There is no client with that client_id. `idp clients list` shows them all."


class NoSecret(Refusal):
    """The client authenticates by a key, or not at all."""

    code, status, title = "no_secret", 409, "This client has no secret"
    message = "This client does not authenticate by a secret, so there is none to rotate."


class ClientExists(Refusal):
    """That client_id is taken, perhaps by a disabled client: ids are never reused."""

    code, status, title = "client_exists", 409, "There is such a client already"
    message = "A client with that client_id is registered already. `idp clients update` changes it."


class UnknownPartner(NotFound):
    """No partner has that name."""

    code, title = "unknown_partner", "There is no such partner"
    message = "There is no partner of that name. Add it first: idp partners add NAME --website URL --email ADDRESS"


class PartnerExists(Refusal):
    """That name is taken."""

    code, status, title = "partner_exists", 409, "There is such a partner already"
    message = "A partner of that name is registered already."


_SNAPSHOTS: Final = PerApplication[dict[str, tuple[float, Snapshot]]](dict)
"""By client id: the monotonic time of reading, and the snapshot."""


def client(client_id: str) -> Snapshot | None:
    """The client as requests may use it; None where it is unknown, or it or its partner is disabled."""
    cache, now = _SNAPSHOTS.get(), time.monotonic()
    read_at, snapshot = cache.get(client_id, (0.0, None))
    if snapshot is not None and now - read_at < CACHE_SECONDS:
        return snapshot
    if not is_plausible_id(client_id):
        return None
    cache.pop(client_id, None)
    row = session().get(Client, client_id)
    if row is None or not row.enabled or row.partner.disabled_at is not None:
        return None
    snapshot = snapshots.freeze(row, secrets_of(client_id), _trial_keys_of(row))
    cache[client_id] = (now, snapshot)  # the time before reading, so that its age is never understated
    return snapshot


def is_disabled(client_id: str) -> bool:
    """Whether the client exists but requests may not use it, because it or its partner is disabled."""
    row = session().get(Client, client_id) if is_plausible_id(client_id) else None
    return row is not None and not (row.enabled and row.partner.disabled_at is None)


def is_plausible_id(client_id: str) -> bool:
    """Whether the text could be a client id: PostgreSQL rejects some text, such as NUL, with an error."""
    return client_id.isascii() and client_id.isprintable() and len(client_id) <= MAX_ID_LENGTH


def drop_outdated(client_id: str, version: int) -> None:
    """Drop the cached snapshot if its version differs from this one, which a statement has just read."""
    cached = _SNAPSHOTS.get().get(client_id)
    if cached and cached[1].version != version:
        forget(client_id)


def forget(client_id: str | None = None) -> None:
    """Drop the cached snapshot of one client, or of all; and the cached list of APIs, which clients register."""
    resources.forget()
    if client_id is None:
        _SNAPSHOTS.get().clear()
    else:
        _SNAPSHOTS.get().pop(client_id, None)


def find(client_id: str) -> Client:
    """The client, disabled or not, for operators. Raises `UnknownClient`."""
    client = session().get(Client, client_id)
    if client is None:
        raise UnknownClient(reason=f"client {client_id!r}")
    return client


def partner_names() -> tuple[str, ...]:
    """The names of all partners. A password that contains one is easy to guess."""
    return tuple(session().scalars(select(Partner.name)))


def all_clients() -> list[Client]:
    """Every client there is, by partner and name, for operators."""
    return sorted(
        session().scalars(select(Client)), key=lambda client: (client.partner_name, client.client_name, client.id)
    )


def accepts_mis(client: AnyClient, mis: str | None) -> bool:
    """Whether the client can work with a school's MIS, a code of config/mis.toml.

    An empty list accepts all. If there is a list, a school whose MIS is unknown has to be asked first.
    """
    return not client.accepted_mis or mis in client.accepted_mis


def allows_redirect(client: AnyClient, uri: str) -> bool:
    """Whether `uri` is a registered redirect URI."""
    return matches_any(uri, client.redirect_uris)


def matches_any(uri: str, registered: Iterable[str]) -> bool:
    """Whether `uri` equals one of these URIs, character by character, except for the port of a loopback URI."""
    portless = without_port(uri)
    return any(
        uri == candidate or (portless is not None and without_port(candidate) == portless) for candidate in registered
    )


def without_port(uri: str) -> str | None:
    """A loopback URI without its port; None for any other URI, or if its port is invalid."""
    for origin in LOOPBACK_ORIGINS:
        rest = uri.removeprefix(origin)
        if rest == uri:
            continue
        if rest.startswith(":"):
            port = rest[1:].partition("/")[0]
            if not uris.is_port(port):
                return None
            rest = rest[1 + len(port) :]
        return origin + rest if rest.startswith("/") else None
    return None


def secret_matches(client: Snapshot, secret: str) -> bool:
    """Whether `secret` is one of the client's, compared in constant time. Any text may be passed."""
    digest, now = crypto.digest(secret), clock.now()
    digests = [stored.digest for stored in client.secrets if _is_valid(stored.expires_at, now)]
    matches = [hmac.compare_digest(stored_digest, digest) for stored_digest in digests]
    return any(matches)


def hmac_keys(client: Snapshot) -> list[bytes]:
    """The secrets of a `client_secret_jwt` client, as HMAC keys; raises `UnsealError`."""
    now = clock.now()
    return [
        runtime.sealer().unseal(stored.sealed, context=_sealing_context(stored.digest))
        for stored in client.secrets
        if stored.sealed is not None and _is_valid(stored.expires_at, now)
    ]


def add_partner(name: str, *, website: str, contact_email: str, by: str = "cli") -> Partner:
    """Add a company. Raises `InvalidClientMetadata` naming what is wrong, and `PartnerExists`."""
    checked = parse_company(name=name, website=website, contact_email=contact_email)
    if session().scalar(select(Partner).where(Partner.name == checked.name)):
        raise PartnerExists(reason=checked.name)
    added = Partner(id=crypto.new_id("par"), created_at=clock.now(), **checked.model_dump())
    session().add(added)
    session().flush()
    log.record(events.PARTNER_ADDED, by=by, subject=added.id)
    return added


def partner(name: str) -> Partner:
    """The partner called `name`. Raises `UnknownPartner`."""
    row = session().scalar(select(Partner).where(Partner.name == name))
    if row is None:
        raise UnknownPartner(reason=f"partner {name!r}")
    return row


def all_partners() -> list[Partner]:
    """Every partner, by name."""
    return list(session().scalars(select(Partner).order_by(Partner.name)))


def switch_partner(name: str, *, on: bool, by: str = "cli") -> Partner:
    """Disable a partner with all its clients at once, or let it work again. Raises `UnknownPartner`."""
    row = partner(name)
    if (row.disabled_at is None) != on:
        row.disabled_at = None if on else clock.now()
        for client in session().scalars(select(Client).where(Client.partner_id == row.id)):
            bump_version(client)
        log.record(events.PARTNER_ENABLED if on else events.PARTNER_DISABLED, by=by, subject=row.id)
    return row


def register(
    manifest: Mapping[str, Any], *, by: str = "cli", is_sandbox: bool = False, makes_secret: bool = True
) -> tuple[Client, str | None]:
    """Register a client from its manifest (`clients/assembly/client.toml` shows one), and return its secret, once.

    Without `makes_secret` it has none until its partner makes one in the console (`rotate_secret`).
    Raises `InvalidRedirectUri` or `InvalidClientMetadata` naming all that is wrong, `UnknownPartner`, `ClientExists`.
    """
    parsed = parse_manifest(manifest, is_sandbox=is_sandbox)
    sector.check(parsed.sector_identifier_uri, parsed.redirect_uris)
    client_id = parsed.client_id or crypto.new_id("cli")
    if session().get(Client, client_id) is not None:
        raise ClientExists(reason=client_id)
    now = clock.now()
    client = Client(
        id=client_id, partner_id=partner(parsed.partner).id, enabled=True, version=1, is_sandbox=is_sandbox,
        created_at=now, updated_at=now, **parsed.columns(),
    )  # fmt: skip
    session().add(client)
    session().flush()
    secret = ensure_secret(client) if makes_secret else None
    log.record(events.CLIENT_REGISTERED, by=by, client=client_id, subject=client_id, scopes=client.scopes)
    return client, secret


def change(manifest: Mapping[str, Any], *, by: str = "cli", makes_secret: bool = True) -> tuple[Client, str | None]:
    """Replace the registration of the client that the manifest names by `client_id`; its secrets stay.

    A secret is made, and returned, only where the client needs one and had none; none without `makes_secret`. What
    schools have agreed to is untouched: a new scope has to be asked for, a removed one is withheld from now on. A
    client that registered itself is then managed by operators. Raises the errors of `register`, and `UnknownClient`.
    """
    client_id = manifest.get("client_id")
    existing = session().get(Client, client_id) if isinstance(client_id, str) and is_plausible_id(client_id) else None
    parsed = parse_manifest(manifest, is_sandbox=existing is not None and existing.is_sandbox)
    sector.check(parsed.sector_identifier_uri, parsed.redirect_uris)
    client = find(parsed.client_id or "")
    if partner(parsed.partner).id != client.partner_id:
        raise ClientExists(reason=f"{client.id} belongs to {client.partner_name}")
    session().execute(delete(RegistrationToken).where(RegistrationToken.client_id == client.id))
    return client, apply(client, parsed.columns(), by=by, makes_secret=makes_secret)


def apply(client: Client, columns: Mapping[str, Any], *, by: str, makes_secret: bool = True) -> str | None:
    """Write `columns`, already checked, to the client's row; returns the secret if one had to be made.

    With another URL for events, the `Authorization` header for the old one is removed. The partner is told by
    mail of another secret, key or URI.
    """
    changes = {name: value for name, value in columns.items() if getattr(client, name) != value}
    if "events_endpoint_url" in changes:
        changes["events_authorization"] = None  # a secret for the old URL
    if not changes:
        return None
    for name, value in changes.items():
        setattr(client, name, value)
    secret = ensure_secret(client) if makes_secret else None
    bump_version(client)
    log.record(events.CLIENT_CHANGED, by=by, client=client.id, subject=client.id, fields=sorted(changes))
    change_notices.send(client, [*changes, *(["secret"] if secret else [])], by=by)
    return secret


def ensure_secret(client: Client) -> str | None:
    """Create the secret that the client's authentication method needs, if it has none; else return None.

    A secret of `client_secret_jwt` is an HMAC key, so one that is stored only as a digest does not count.
    """
    if not _authenticates_by_secret(client):
        return None
    now, is_key = clock.now(), client.token_endpoint_auth_method == "client_secret_jwt"  # noqa: S105  a method's name
    if any(_is_valid(stored.expires_at, now) and (stored.sealed or not is_key) for stored in secrets_of(client.id)):
        return None
    return _new_secret(client)


def rotate_secret(client_id: str, *, overlap: timedelta, by: str) -> str:
    """Give the client a new secret and return it; the old ones work for `overlap` at most.

    Raises `UnknownClient`, and `NoSecret` where the client does not authenticate by one.
    """
    client = find(client_id)
    if not _authenticates_by_secret(client):
        raise NoSecret(reason=f"{client_id} authenticates by {client.token_endpoint_auth_method}")
    until = clock.now() + overlap
    outlasts = (
        ClientSecret.client_id == client_id,
        or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > until),
    )
    session().execute(update(ClientSecret).where(*outlasts).values(expires_at=until, reminded_at=None))
    secret = _new_secret(client)
    bump_version(client)
    log.record(events.CLIENT_SECRET_ROTATED, by=by, client=client_id, subject=client_id, old_until=until)
    change_notices.send(client, ["secret"], by=by)
    return secret


def disable(client_id: str, *, by: str) -> Client:
    """Disable the client. Its tokens are refused at once, its own requests after `CACHE_SECONDS` at most."""
    return _switch(client_id, events.CLIENT_DISABLED, on=False, by=by)


def enable(client_id: str, *, by: str) -> Client:
    """Let a disabled client work again, under the agreements schools have given it."""
    return _switch(client_id, events.CLIENT_ENABLED, on=True, by=by)


def _switch(client_id: str, event: str, *, on: bool, by: str) -> Client:
    client = find(client_id)
    if on and client.removed_at:
        raise UnknownClient(reason=client_id)
    if client.enabled != on:
        client.enabled = on
        bump_version(client)
        log.record(event, by=by, client=client_id, subject=client_id)
    return client


def _new_secret(client: Client) -> str:
    """Create a secret and store its digest; if it is an HMAC key, also the sealed secret."""
    secret = crypto.new_secret()
    digest, sealed = crypto.digest(secret), seal_hmac_key(client, secret)
    session().add(
        ClientSecret(digest=digest, client_id=client.id, sealed=sealed, created_at=clock.now(), expires_at=None)
    )
    session().flush()
    return secret


def seal_hmac_key(client: Client, secret: str) -> str | None:
    """A secret of the client, sealed, where it is the key of `client_secret_jwt`; else None."""
    if client.token_endpoint_auth_method != "client_secret_jwt":  # noqa: S105  a method's name
        return None
    return runtime.sealer().seal(secret.encode("ascii"), context=_sealing_context(crypto.digest(secret)))


def bump_version(client: Client) -> None:
    """Increment the version, in SQL so that concurrent changes get different ones, and drop our snapshot."""
    session().flush()
    values = {"version": Client.version + 1, "updated_at": clock.now()}
    session().execute(update(Client).where(Client.id == client.id).values(values))
    session().refresh(client)
    forget(client.id)


def note_reviewed(client: Client) -> None:
    """Note that all schools have been told what to review of this version, unless there is another by now."""
    unchanged = Client.id == client.id, Client.version == client.version
    session().execute(update(Client).where(*unchanged).values(reviewed_version=client.version))


def _authenticates_by_secret(client: Client) -> bool:
    return client.token_endpoint_auth_method.startswith("client_secret")


def secrets_of(client_id: str) -> list[ClientSecret]:
    """The digests of a client's secrets, oldest first, expired ones too."""
    statement = select(ClientSecret).where(ClientSecret.client_id == client_id)
    return list(session().scalars(statement.order_by(ClientSecret.created_at, ClientSecret.digest)))


def _trial_keys_of(client: Client) -> Sequence[TrialKey]:
    if not client.is_sandbox:
        return ()
    return session().scalars(select(TrialKey).where(TrialKey.client_id == client.id)).all()


def _is_valid(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is None or now < expires_at


def _sealing_context(digest: bytes) -> str:
    """The context that a sealed secret is bound to: its own row."""
    return f"client_secrets.sealed:{digest.hex()}"
