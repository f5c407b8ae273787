"""Schools that share with us: their tokens, how sharing stands, and what we received.

How it stands is the provider's to say: `check` asks `GET /api/schools/{estab_id}`, after each event, when someone
looks at the page, and now and then for all (`check_all`), so that a lost event is noticed as well.

Tokens are refreshed by one thread or process at a time, which the database decides (`_claim_refresh`). The provider
does not replace refresh tokens of this profile, and where another does, the response to a repeated request is the same:
so a refresh whose response was lost is simply sent again.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from clients.assembly import resource
from clients.assembly.database import Database
from clients.assembly.errors import RequestRefused
from clients.assembly.provider import RENEW_BEFORE_EXPIRY_SECONDS, Provider
from clients.assembly.settings import Settings

REFRESH_CLAIM_SECONDS = 30.0
"""How long others wait for the one that refreshes; if it takes longer, it must have been killed."""
OVERLAP_SECONDS = 60
"""The list of changes is read from this long before the newest known change, as the API's description advises."""

Status = Literal[
    "unknown", "unfinished", "awaiting_verification", "awaiting_endpoint", "connected", "paused", "other_system",
    "withdrawn", "expired", "closed", "rejected", "suspended", "disconnected",
]  # fmt: skip

log = logging.getLogger(__name__)


class NoAccessToken(Exception):
    """There is no access token: the school has stopped or paused sharing, or we have disconnected."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token response. `until` is in seconds since 1970."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    until: float
    scope: str
    withheld_scope: str

    @classmethod
    def from_response(cls, response: Mapping[str, Any], requested: str) -> Self:
        """Read the JSON document (RFC 6749 §5.1). If `scope` is missing, it is the one that was requested."""
        return cls(
            str(response["access_token"]), response.get("refresh_token"),
            time.time() + float(response.get("expires_in", 0)),
            str(response.get("scope", requested)), str(response.get("withheld_scope", "")),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection of a school, as it is stored."""

    estab_id: str
    urn: str | None
    school: dict[str, Any]
    """What `/api/schools` says; empty before the first response."""
    has_tokens: bool
    scope: frozenset[str]
    withheld: frozenset[str]
    access_until: float
    checked_at: float
    received: dict[str, Any] | None
    received_at: float | None
    disconnected_at: float | None

    @property
    def status(self) -> Status:
        """How sharing stands, in one word."""
        if self.disconnected_at is not None:
            return "disconnected"
        agreed, verification = self.school.get("status"), self.school.get("verification")
        if agreed in {"paused", "withdrawn", "expired"}:
            return agreed  # type: ignore[no-any-return]
        if verification in {"closed", "rejected", "suspended"}:
            return verification  # type: ignore[no-any-return]
        if not self.school.get("mis_accepted", True):
            return "other_system"
        return "unknown" if agreed is None else self._sharing(is_verified=verification == "verified")

    def _sharing(self, *, is_verified: bool) -> Status:
        """The status under an agreement that is in force: what is still missing, if anything."""
        if not self.has_tokens:
            return "unfinished"
        if not is_verified:
            return "awaiting_verification"
        return "awaiting_endpoint" if self.school.get("connection") == "awaiting_endpoint" else "connected"

    @property
    def is_shared(self) -> bool:
        """Whether the school lets us read, whether or not its server is heard from."""
        return self.status in {"connected", "awaiting_endpoint"}

    @property
    def is_paused(self) -> bool:
        """Whether we receive nothing for now, because the school paused sharing or named a system we do not accept."""
        return self.status in {"paused", "other_system"}

    @property
    def granted(self) -> frozenset[str]:
        """The scopes that are granted now: those that the provider last named, or else those of the token."""
        return frozenset(self.school["scope"].split()) if "scope" in self.school else self.scope

    @property
    def withheld_scopes(self) -> frozenset[str]:
        """The scopes that the school agreed to and that are withheld now."""
        if "scope" in self.school:
            return frozenset(self.school.get("withheld_scope", "").split())
        return self.withheld


def find(database: Database, *, estab_id: str | None = None, urn: str | None = None) -> Connection | None:
    """The connection of a school, by its Estab ID or its URN."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT * FROM connections WHERE estab_id = ? OR (? IS NULL AND urn = ?)", (estab_id, estab_id, urn)
        ).fetchone()
    if row is None:
        return None
    return Connection(
        estab_id=row["estab_id"], urn=row["urn"], school=json.loads(row["school"] or "{}"),
        has_tokens=row["refresh_token"] is not None, scope=frozenset(row["scope"].split()),
        withheld=frozenset(row["withheld_scope"].split()), access_until=row["access_until"],
        checked_at=row["checked_at"], received=json.loads(row["received"]) if row["received"] else None,
        received_at=row["received_at"], disconnected_at=row["disconnected_at"],
    )  # fmt: skip


def connect(database: Database, estab_id: str, about: Mapping[str, Any], tokens: Tokens) -> None:
    """Store the tokens of a sign-in, which are for the person's school. Tokens stored before are revoked soon."""
    urn = (about.get("organisation") or {}).get("urn")
    with database.transaction() as connection:
        connection.execute("INSERT OR IGNORE INTO connections (estab_id) VALUES (?)", (estab_id,))
        _drop_refresh_token(connection, estab_id)
        _store_tokens(connection, estab_id, tokens)
        connection.execute(
            "UPDATE connections SET urn = coalesce(?, urn), disconnected_at = NULL, checked_at = 0 WHERE estab_id = ?",
            (urn, estab_id),
        )


def disconnect(database: Database, estab_id: str) -> None:
    """Forget a school: its data and its tokens, which are revoked soon (`revoke_waiting`)."""
    with database.transaction() as connection:
        _drop_refresh_token(connection, estab_id)
        connection.execute(
            "UPDATE connections SET access_token = NULL, access_until = 0, received = NULL, received_at = NULL, "
            "disconnected_at = ? WHERE estab_id = ?",
            (time.time(), estab_id),
        )


def revoke_waiting(database: Database, provider: Provider) -> None:
    """Revoke the refresh tokens that we no longer need. Revoking one twice does no harm (RFC 7009 §2.2).

    One that is refused does not delay the others. Raises `ProviderUnreachable`; the next call begins with another one.
    """
    with database.transaction() as connection:
        rows = connection.execute("SELECT refresh_token FROM tokens_to_revoke ORDER BY random()").fetchall()
    for row in rows:
        try:
            provider.revoke(row["refresh_token"])
        except RequestRefused as error:
            log.warning("a refresh token could not be revoked, and will be retried: %s", error)
            continue
        with database.transaction() as connection:
            connection.execute("DELETE FROM tokens_to_revoke WHERE refresh_token = ?", (row["refresh_token"],))


def check(database: Database, provider: Provider, estab_id: str) -> None:
    """Ask the provider how sharing with one school stands, and act on what changed."""
    with database.transaction() as connection:
        connection.execute("INSERT OR IGNORE INTO connections (estab_id) VALUES (?)", (estab_id,))
        row = connection.execute("SELECT etag FROM connections WHERE estab_id = ?", (estab_id,)).fetchone()
    headers = {"If-None-Match": row["etag"]} if row["etag"] else {}
    try:
        response = provider.call_as_client("GET", f"/api/schools/{estab_id}", headers=headers)
    except RequestRefused as error:
        if error.http_status != 404:
            raise
        with database.transaction() as connection:  # it has never authorised us
            connection.execute("DELETE FROM connections WHERE estab_id = ? AND refresh_token IS NULL", (estab_id,))
        return
    if response.status_code == 304:
        with database.transaction() as connection:
            connection.execute("UPDATE connections SET checked_at = ? WHERE estab_id = ?", (time.time(), estab_id))
    else:
        _store_school(database, response.json(), response.headers.get("ETag"))


def check_all(database: Database, provider: Provider) -> None:
    """Ask which schools have changed since all of them were read last, page by page.

    A page may be empty and have a next one. If a page fails, the next call starts again from the same change.
    """
    with database.transaction() as connection:
        row = connection.execute("SELECT changed_at FROM schools_read").fetchone()
    newest = row["changed_at"] if row else ""
    parameters = {"limit": "200"} | ({"changed_since": _a_minute_before(newest)} if newest else {})
    while True:
        page = provider.call_as_client("GET", "/api/schools", params=parameters).json()
        for school in page["schools"]:
            _store_school(database, school, None)
            newest = max(newest, school["changed_at"])
        if "next" not in page:
            break
        parameters["cursor"] = page["next"]
    with database.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO schools_read (id, changed_at) VALUES (1, ?)", (newest,))


def access_token(database: Database, provider: Provider, estab_id: str, *, renew: bool = False) -> str:
    """A token for the school's data that is valid for some time, refreshed if necessary. Raises `NoAccessToken`.

    `renew` refreshes it in any case, so that it covers what the school shares now.
    """
    began, must_renew = time.time(), renew
    while time.time() < began + REFRESH_CLAIM_SECONDS + 5:
        with database.transaction() as connection:
            row = connection.execute("SELECT * FROM connections WHERE estab_id = ?", (estab_id,)).fetchone()
            if row is None or row["refresh_token"] is None:
                raise NoAccessToken(estab_id)
            lasts = row["access_until"] > time.time() + RENEW_BEFORE_EXPIRY_SECONDS
            if row["access_token"] and lasts and not must_renew:
                return str(row["access_token"])
            claimed = _claim_refresh(connection, estab_id)
        if claimed:
            return _refresh(database, provider, estab_id, row["refresh_token"])
        time.sleep(0.1)
        must_renew = False  # the other one has just refreshed it
    raise NoAccessToken("another process refreshes it and does not finish")


def receive(database: Database, provider: Provider, settings: Settings, estab_id: str) -> None:
    """Read the school's data as far as it is shared, and store it. If the token is refused, ask the provider why."""
    before = find(database, estab_id=estab_id)
    if not settings.resource or before is None:
        return
    try:
        token = access_token(database, provider, estab_id)
        received = resource.read(provider, settings.resource, token, before.received)
    except resource.TokenRefused:
        check(database, provider, estab_id)
        return
    except NoAccessToken:
        return
    with database.transaction() as connection:
        connection.execute(
            "UPDATE connections SET received = ?, received_at = ? WHERE estab_id = ? AND disconnected_at IS NULL",
            (json.dumps(received), time.time(), estab_id),
        )


def _claim_refresh(connection: Any, estab_id: str) -> bool:
    """Claim the refresh for this thread; returns False if another has claimed it."""
    now = time.time()
    claimed = connection.execute(
        "UPDATE connections SET refresh_claimed_until = ? WHERE estab_id = ? AND refresh_claimed_until < ?",
        (now + REFRESH_CLAIM_SECONDS, estab_id, now),
    )
    return bool(claimed.rowcount == 1)


def _refresh(database: Database, provider: Provider, estab_id: str, refresh_token: str) -> str:
    """Refresh, holding the claim; the claim ends in the transaction that stores the result."""
    try:
        # Without a scope: all that was granted, which may be less than we asked for (RFC 6749 §6).
        response = provider.token(grant_type="refresh_token", refresh_token=refresh_token)
    except RequestRefused as error:
        is_about_sharing = error.code in {"invalid_grant", "access_denied"}
        with database.transaction() as connection:
            _end_claim(connection, estab_id)
            connection.execute(  # ended for good, or paused: then the same token works again later
                "UPDATE connections SET access_token = NULL, access_until = 0, "
                "refresh_token = CASE WHEN ? THEN NULL ELSE refresh_token END "
                "WHERE ? AND estab_id = ? AND refresh_token = ?",
                (error.code == "invalid_grant", is_about_sharing, estab_id, refresh_token),
            )
        if not is_about_sharing:
            raise
        raise NoAccessToken(error.code) from error
    except Exception:
        with database.transaction() as connection:
            _end_claim(connection, estab_id)
        raise
    tokens = Tokens.from_response(response, "")
    with database.transaction() as connection:
        _end_claim(connection, estab_id)
        row = connection.execute("SELECT refresh_token FROM connections WHERE estab_id = ?", (estab_id,)).fetchone()
        if is_current := row["refresh_token"] == refresh_token:
            _store_tokens(connection, estab_id, tokens)
    if not is_current:  # disconnected, or connected anew, meanwhile
        raise NoAccessToken(estab_id)
    return tokens.access_token


def _end_claim(connection: Any, estab_id: str) -> None:
    connection.execute("UPDATE connections SET refresh_claimed_until = 0 WHERE estab_id = ?", (estab_id,))


def _drop_refresh_token(connection: Any, estab_id: str) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO tokens_to_revoke SELECT refresh_token FROM connections "
        "WHERE estab_id = ? AND refresh_token IS NOT NULL",
        (estab_id,),
    )
    connection.execute("UPDATE connections SET refresh_token = NULL WHERE estab_id = ?", (estab_id,))


def _store_tokens(connection: Any, estab_id: str, tokens: Tokens) -> None:
    connection.execute(
        "UPDATE connections SET access_token = ?, access_until = ?, refresh_token = coalesce(?, refresh_token), "
        "scope = ?, withheld_scope = ? WHERE estab_id = ?",
        (tokens.access_token, tokens.until, tokens.refresh_token, tokens.scope, tokens.withheld_scope, estab_id),
    )


def _store_school(database: Database, school: Mapping[str, Any], etag: str | None) -> None:
    """Store what the provider says of a school. Drop tokens that no longer work; another scope needs a new one."""
    urn = school["register"].get("urn")
    with database.transaction() as connection:
        connection.execute("INSERT OR IGNORE INTO connections (estab_id) VALUES (?)", (school["estab_id"],))
        connection.execute(
            "UPDATE connections SET school = ?, urn = coalesce(?, urn), etag = ?, checked_at = ? WHERE estab_id = ?",
            (json.dumps(school), urn, etag, time.time(), school["estab_id"]),
        )
        if school["status"] == "withdrawn":
            connection.execute(
                "UPDATE connections SET access_token = NULL, refresh_token = NULL, access_until = 0 WHERE estab_id = ?",
                (school["estab_id"],),
            )
        elif school["status"] != "active":
            connection.execute(
                "UPDATE connections SET access_token = NULL, access_until = 0 WHERE estab_id = ?", (school["estab_id"],)
            )
        else:  # a token for something else than is shared now is not used again
            row = connection.execute(
                "SELECT scope FROM connections WHERE estab_id = ?", (school["estab_id"],)
            ).fetchone()
            if set(row["scope"].split()) != set(school["scope"].split()):
                connection.execute("UPDATE connections SET access_until = 0 WHERE estab_id = ?", (school["estab_id"],))


def _a_minute_before(moment: str) -> str:
    earlier = datetime.fromisoformat(moment) - timedelta(seconds=OVERLAP_SECONDS)
    return earlier.isoformat()
