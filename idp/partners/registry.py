"""Who our clients are: asked on every request, changed by operators.

Asking gives a frozen snapshot, kept by each process for at most `FRESH` seconds; whoever reads a client's
`version` with something else tells `seen`, and an outdated snapshot is dropped at once. Redirect URIs are
compared character by character, without patterns and without normalising (RFC 9700 §2.1).
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update

from idp.audit import events, log
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.foundation.runtime import PerApplication
from idp.partners import manifest as manifests, resources, sector, snapshots, uris
from idp.partners.models import Client, ClientSecret, Partner, RegistrationToken
from idp.partners.snapshots import AnyClient, Snapshot

FRESH = 1.0
"""Seconds a snapshot may be old: what operators change holds in every process after a second."""
LONGEST_ID = 255
"""Characters of a client id that is looked up."""
LOOPBACK = ("http://127.0.0.1", "http://[::1]")
"""Where an app on the person's own machine listens, on whatever port it got (RFC 8252 §7.3)."""


class UnknownClient(NotFound):
    """No client has that id."""

    code, title = "unknown_client", "There is no such client"
    says = "There is no client with that client_id. `idp clients list` shows them all."


class NoSecret(Refusal):
    """The client proves itself by a key, or not at all."""

    code, status, title = "no_secret", 409, "This client has no secret"
    says = "This client does not authenticate by a secret, so there is none to rotate."


class ClientExists(Refusal):
    """That client_id is taken, perhaps by a disabled client: ids are never reused."""

    code, status, title = "client_exists", 409, "There is such a client already"
    says = "A client with that client_id is registered already. `idp clients update` changes it."


class UnknownPartner(NotFound):
    """No partner has that name."""

    code, title = "unknown_partner", "There is no such partner"
    says = "There is no partner of that name. Add it first: idp partners add NAME --website URL --email ADDRESS"


class PartnerExists(Refusal):
    """That name is taken."""

    code, status, title = "partner_exists", 409, "There is such a partner already"
    says = "A partner of that name is registered already."


_SNAPSHOTS: Final = PerApplication[dict[str, tuple[float, Snapshot]]](dict)
"""By client, each with the monotonic second it was read at."""


def client(client_id: str) -> Snapshot | None:
    """The client as requests may use it; None where it is unknown, or it or its partner is disabled."""
    kept, now = _SNAPSHOTS.get(), time.monotonic()
    read_at, found = kept.get(client_id, (0.0, None))
    if found is not None and now - read_at < FRESH:
        return found
    if not could_be(client_id):
        return None
    kept.pop(client_id, None)
    row = session().get(Client, client_id)
    if row is None or not row.enabled or row.partner.disabled_at is not None:
        return None
    found = snapshots.of(row, secrets_of(client_id))
    kept[client_id] = (now, found)  # as old as the moment before it was read
    return found


def is_disabled(client_id: str) -> bool:
    """Whether there is such a client that requests may not use, because it or its partner is disabled."""
    row = session().get(Client, client_id) if could_be(client_id) else None
    return row is not None and not (row.enabled and row.partner.disabled_at is None)


def could_be(client_id: str) -> bool:
    """Whether it looks like an id at all: a stranger's text may be nothing that a database can be asked about."""
    return client_id.isascii() and client_id.isprintable() and len(client_id) <= LONGEST_ID


def seen(client_id: str, version: int) -> None:
    """Note the version that some statement has just read: a snapshot of another one is dropped."""
    read = _SNAPSHOTS.get().get(client_id)
    if read and read[1].version != version:
        forget(client_id)


def forget(client_id: str | None = None) -> None:
    """Drop the snapshot of one client, or all of them; and what is known of APIs, which are clients' too."""
    resources.forget()
    if client_id is None:
        _SNAPSHOTS.get().clear()
    else:
        _SNAPSHOTS.get().pop(client_id, None)


def find(client_id: str) -> Client:
    """The client, disabled or not, for operators. Raises `UnknownClient`."""
    found = session().get(Client, client_id)
    if found is None:
        raise UnknownClient(because=f"client {client_id!r}")
    return found


def names() -> tuple[str, ...]:
    """What all partners are called; a password made of such a name is soon guessed."""
    return tuple(session().scalars(select(Partner.name)))


def everyone() -> list[Client]:
    """Every client there is, by partner and name, for operators."""
    return sorted(session().scalars(select(Client)), key=lambda each: (each.partner_name, each.client_name, each.id))


def accepts(client: AnyClient, mis: str | None) -> bool:
    """Whether the client can work with a school's MIS, a code of config/mis.toml.

    An empty list accepts all; where there is one, a school whose MIS is not known has to be asked first.
    """
    return not client.accepted_mis or mis in client.accepted_mis


def allows_redirect(client: AnyClient, uri: str) -> bool:
    """Whether `uri` is a registered redirect URI."""
    return is_one_of(uri, client.redirect_uris)


def is_one_of(uri: str, registered: Iterable[str]) -> bool:
    """Whether `uri` is among these addresses: equal in every character, but for the port of a loopback address."""
    portless = without_port(uri)
    return any(uri == each or (portless is not None and without_port(each) == portless) for each in registered)


def without_port(uri: str) -> str | None:
    """A loopback address less its port; None for any other address and for a port that is none."""
    for origin in LOOPBACK:
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
    """Whether `secret` is one of the client's, in time that tells nothing about them. Any text may be asked."""
    presented, now = crypto.digest(secret), clock.now()
    right = [crypto.same(each.digest, presented) for each in client.secrets if _is_valid(each.expires_at, now)]
    return any(right)


def shared_keys(client: Snapshot) -> list[bytes]:
    """The secrets of a `client_secret_jwt` client, as HMAC keys; raises `CannotUnseal`."""
    now = clock.now()
    return [
        runtime.sealer().unseal(each.sealed, where=_place(each.digest))
        for each in client.secrets
        if each.sealed is not None and _is_valid(each.expires_at, now)
    ]


def add_partner(name: str, *, website: str, contact_email: str, by: str = "cli") -> Partner:
    """Add a company. Raises `InvalidClientMetadata` naming what is wrong, and `PartnerExists`."""
    checked = manifests.company(name=name, website=website, contact_email=contact_email)
    if session().scalar(select(Partner).where(Partner.name == checked.name)):
        raise PartnerExists(because=checked.name)
    added = Partner(id=crypto.new_id("par"), created_at=clock.now(), **checked.model_dump())
    session().add(added)
    session().flush()
    log.record(events.PARTNER_ADDED, by=by, subject=added.id)
    return added


def partner(name: str) -> Partner:
    """The partner called `name`. Raises `UnknownPartner`."""
    found = session().scalar(select(Partner).where(Partner.name == name))
    if found is None:
        raise UnknownPartner(because=f"partner {name!r}")
    return found


def all_partners() -> list[Partner]:
    """Every partner, by name."""
    return list(session().scalars(select(Partner).order_by(Partner.name)))


def switch_partner(name: str, *, on: bool, by: str = "cli") -> Partner:
    """Disable a partner with all its clients at once, or let it work again. Raises `UnknownPartner`."""
    found = partner(name)
    if (found.disabled_at is None) != on:
        found.disabled_at = None if on else clock.now()
        for each in session().scalars(select(Client).where(Client.partner_id == found.id)):
            changed(each)
        log.record(events.PARTNER_ENABLED if on else events.PARTNER_DISABLED, by=by, subject=found.id)
    return found


def register(manifest: Mapping[str, Any], *, by: str = "cli") -> tuple[Client, str | None]:
    """Register a client from its manifest (`clients/assembly/client.toml` shows one), and return its secret, once.

    Raises `InvalidRedirectUri` or `InvalidClientMetadata` naming all that is wrong, `UnknownPartner`, `ClientExists`.
    """
    asked = manifests.validated(manifest)
    sector.check(asked.sector_identifier_uri, asked.redirect_uris)
    client_id = asked.client_id or crypto.new_id("cli")
    if session().get(Client, client_id) is not None:
        raise ClientExists(because=client_id)
    now = clock.now()
    added = Client(
        id=client_id, partner_id=partner(asked.partner).id, enabled=True, version=1,
        created_at=now, updated_at=now, **asked.columns(),
    )  # fmt: skip
    session().add(added)
    session().flush()
    secret = settle_secret(added)
    log.record(events.CLIENT_REGISTERED, by=by, client=client_id, subject=client_id, scopes=added.scopes)
    return added, secret


def change(manifest: Mapping[str, Any], *, by: str = "cli") -> tuple[Client, str | None]:
    """Replace the registration of the client that the manifest names by `client_id`; its secrets stay.

    A secret is made, and returned, only where the client needs one and had none. What schools have agreed to
    is untouched: a scope that is new has to be asked for, one that is gone is withheld from now on. A client that
    registered itself is the operators' from then on. Raises as `register` does, and `UnknownClient`.
    """
    asked = manifests.validated(manifest)
    sector.check(asked.sector_identifier_uri, asked.redirect_uris)
    found = find(asked.client_id or "")
    if partner(asked.partner).id != found.partner_id:
        raise ClientExists(because=f"{found.id} belongs to {found.partner_name}")
    session().execute(delete(RegistrationToken).where(RegistrationToken.client_id == found.id))
    return found, apply(found, asked.columns(), by=by)


def apply(client: Client, columns: Mapping[str, Any], *, by: str) -> str | None:
    """Write `columns`, already checked, to the client's row; returns the secret if one had to be made."""
    differs = {name: value for name, value in columns.items() if getattr(client, name) != value}
    if not differs:
        return None
    for name, value in differs.items():
        setattr(client, name, value)
    secret = settle_secret(client)
    changed(client)
    log.record(events.CLIENT_CHANGED, by=by, client=client.id, subject=client.id, fields=sorted(differs))
    return secret


def settle_secret(client: Client) -> str | None:
    """Make the secret that the client's method needs and it has not got; None where nothing was missing.

    A secret of `client_secret_jwt` is an HMAC key, so one that was kept as a digest alone is of no use to it.
    """
    if not _has_secret(client):
        return None
    now, is_key = clock.now(), client.token_endpoint_auth_method == "client_secret_jwt"  # noqa: S105  a method's name
    if any(_is_valid(each.expires_at, now) and (each.sealed or not is_key) for each in secrets_of(client.id)):
        return None
    return _new_secret(client)


def rotate_secret(client_id: str, *, overlap: timedelta, by: str) -> str:
    """Give the client a new secret and return it; the others go on working for `overlap` at most.

    Raises `UnknownClient`, and `NoSecret` where the client does not authenticate by one.
    """
    found = find(client_id)
    if not _has_secret(found):
        raise NoSecret(because=f"{client_id} authenticates by {found.token_endpoint_auth_method}")
    until = clock.now() + overlap
    for old in secrets_of(client_id):
        old.expires_at = min(old.expires_at or until, until)
    secret = _new_secret(found)
    changed(found)
    log.record(events.CLIENT_SECRET_ROTATED, by=by, client=client_id, subject=client_id, old_until=until)
    return secret


def disable(client_id: str, *, by: str) -> Client:
    """Stop the client: its tokens are refused at once wherever we are asked, itself after `FRESH` seconds at most."""
    return _switch(client_id, events.CLIENT_DISABLED, on=False, by=by)


def enable(client_id: str, *, by: str) -> Client:
    """Let a disabled client work again, under the agreements schools have given it."""
    return _switch(client_id, events.CLIENT_ENABLED, on=True, by=by)


def _switch(client_id: str, event: str, *, on: bool, by: str) -> Client:
    found = find(client_id)
    if found.enabled != on:
        found.enabled = on
        changed(found)
        log.record(event, by=by, client=client_id, subject=client_id)
    return found


def _new_secret(client: Client) -> str:
    """Make a secret and keep its digest; the secret itself, sealed, only where it is an HMAC key."""
    secret = crypto.new_secret()
    digest = crypto.digest(secret)
    sealed = None
    if client.token_endpoint_auth_method == "client_secret_jwt":  # noqa: S105  a method's name
        sealed = runtime.sealer().seal(secret.encode("ascii"), where=_place(digest))
    session().add(
        ClientSecret(digest=digest, client_id=client.id, sealed=sealed, created_at=clock.now(), expires_at=None)
    )
    session().flush()
    return secret


def changed(client: Client) -> None:
    """Raise the version, in the database so that no two changes share one, and drop our own snapshot."""
    session().flush()
    raised = {"version": Client.version + 1, "updated_at": clock.now()}
    session().execute(update(Client).where(Client.id == client.id).values(raised))
    session().refresh(client)
    forget(client.id)


def _has_secret(client: Client) -> bool:
    return client.token_endpoint_auth_method.startswith("client_secret")


def secrets_of(client_id: str) -> list[ClientSecret]:
    """The digests of a client's secrets, oldest first, expired ones too."""
    asked = select(ClientSecret).where(ClientSecret.client_id == client_id).order_by(ClientSecret.created_at)
    return list(session().scalars(asked))


def _is_valid(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is None or now < expires_at


def _place(digest: bytes) -> str:
    """What a sealed secret is bound to: its own row."""
    return f"client_secrets.sealed:{digest.hex()}"
