"""Grant Access: we ask the provider to invite a school, and follow the state of the invitation.

The request is stored first, with an idempotency key. If the program is killed before the response comes, it sends the
request again with the same key, and the provider sends no second mail.
"""

import json
import logging
import random
import time
import uuid
from dataclasses import dataclass

from clients.assembly.accounts import Account
from clients.assembly.database import Database
from clients.assembly.errors import ProviderError, ProviderUnreachable, RequestRefused
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings

FINAL_STATES = ("accepted", "declined", "cancelled", "refused")
"""The states that no longer change."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invitation:
    """The newest invitation of an account. `state` is `sending`, `refused` (with a `problem`), or the provider's."""

    idempotency_key: str
    state: str
    problem: str | None
    forwarded_to: str | None
    created_at: float
    checked_at: float


def find_newest(database: Database, account_id: int, urn: str | None) -> Invitation | None:
    """The newest invitation by this account of this school."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT idempotency_key, state, problem, forwarded_to, created_at, checked_at FROM invitations "
            "WHERE account_id = ? AND json_extract(request, '$.urn') = ? ORDER BY created_at DESC LIMIT 1",
            (account_id, urn),
        ).fetchone()
    return Invitation(**dict(row)) if row else None


def request(database: Database, settings: Settings, account: Account, contact_name: str) -> str:
    """Store a request to invite the school of `account`; returns its key, or that of a request that still waits."""
    document = {
        "urn": account.urn,
        "contact": {"name": contact_name, "email": account.email},
        "scope": settings.application.data_scope,
        "mis": account.mis,
        "reference": f"account {account.id}",
    }
    now, key = time.time(), str(uuid.uuid4())
    with database.transaction() as connection:
        waiting = connection.execute(
            "SELECT idempotency_key FROM invitations WHERE account_id = ? AND state = 'sending'", (account.id,)
        ).fetchone()
        if waiting is not None:
            return str(waiting["idempotency_key"])
        connection.execute(
            "INSERT INTO invitations (idempotency_key, account_id, request, state, created_at, checked_at) "
            "VALUES (?, ?, ?, 'sending', ?, ?)",
            (key, account.id, json.dumps(document), now, now),
        )
    return key


def send(database: Database, provider: Provider, idempotency_key: str) -> None:
    """Ask the provider, unless it has responded already. Raises `ProviderUnreachable`; the request then still waits."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT request FROM invitations WHERE idempotency_key = ? AND state = 'sending'", (idempotency_key,)
        ).fetchone()
    if row is None:
        return
    try:
        response = provider.call_as_client(
            "POST", "/api/invitations", json=json.loads(row["request"]), headers={"Idempotency-Key": idempotency_key}
        ).json()
    except RequestRefused as error:
        with database.transaction() as connection:
            connection.execute(
                "UPDATE invitations SET state = 'refused', problem = ? WHERE idempotency_key = ?",
                (error.detail or error.code, idempotency_key),
            )
        return
    _store(database, idempotency_key, response)


def send_waiting(database: Database, provider: Provider) -> None:
    """Send the requests that wait because the program was killed or the provider was unreachable.

    One that fails does not delay the others: if the provider is unreachable, the next call begins with another one.
    """
    with database.transaction() as connection:
        rows = connection.execute(
            "SELECT idempotency_key FROM invitations WHERE state = 'sending' ORDER BY random()"
        ).fetchall()
    for row in rows:
        try:
            send(database, provider, row["idempotency_key"])
        except (ProviderError, ValueError) as error:
            log.warning("an invitation could not be sent, and will be retried: %s: %s", type(error).__name__, error)
            if isinstance(error, ProviderUnreachable):  # each further attempt could take as long as a timeout
                return


def check(database: Database, provider: Provider, idempotency_key: str) -> None:
    """Ask the provider for the state of an invitation."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT provider_id, state FROM invitations WHERE idempotency_key = ?", (idempotency_key,)
        ).fetchone()
    if row is None or row["provider_id"] is None or row["state"] in FINAL_STATES:
        return
    try:
        response = provider.call_as_client("GET", f"/api/invitations/{row['provider_id']}").json()
    except RequestRefused as error:
        if error.http_status != 404:
            raise
        response = {"id": row["provider_id"], "state": "expired"}  # deleted some weeks after it expired
    _store(database, idempotency_key, response)


def check_open(database: Database, provider: Provider) -> None:
    """Ask the provider for the states of all invitations that may still change, the 100 that were checked longest ago.

    Raises `ProviderUnreachable`; the next call begins with another one.
    """
    with database.transaction() as connection:
        rows = connection.execute(
            f"SELECT idempotency_key FROM invitations WHERE provider_id IS NOT NULL AND "  # noqa: S608  our constants
            f"state NOT IN ({', '.join('?' * len(FINAL_STATES))}) ORDER BY checked_at LIMIT 100",
            FINAL_STATES,
        ).fetchall()
    random.shuffle(rows)
    for row in rows:
        try:
            check(database, provider, row["idempotency_key"])
        except RequestRefused as error:
            log.warning("an invitation could not be checked, and will be retried: %s", error)


def send_again(database: Database, provider: Provider, idempotency_key: str) -> None:
    """Have the provider send the mail again, with a new link. Raises `RequestRefused` with the reason."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT provider_id FROM invitations WHERE idempotency_key = ?", (idempotency_key,)
        ).fetchone()
    if row is not None and row["provider_id"] is not None:
        response = provider.call_as_client("POST", f"/api/invitations/{row['provider_id']}/resend").json()
        _store(database, idempotency_key, response)


def _store(database: Database, idempotency_key: str, response: dict[str, object]) -> None:
    person = response.get("forwarded_to")
    forwarded_to = f"{person['name']} ({person['email']})" if isinstance(person, dict) else None
    with database.transaction() as connection:
        connection.execute(
            "UPDATE invitations SET provider_id = ?, state = ?, forwarded_to = ?, checked_at = ? "
            "WHERE idempotency_key = ?",
            (response["id"], response["state"], forwarded_to, time.time(), idempotency_key),
        )
