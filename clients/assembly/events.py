"""What the provider pushes to us: security events (RFC 8417, delivered as RFC 8935), and logout tokens.

An event is a hint that something has changed, never the change itself: after it we ask the provider's API. So events
may arrive twice, out of order, or not at all. They are stored before they are acknowledged, and acted on afterwards: if
the program is killed in between, it finds them again (`handle_waiting`).
"""

import logging
import time
from typing import Any

from clients.assembly import connections, invitations, sign_ins
from clients.assembly.database import Database
from clients.assembly.errors import ProviderError, ProviderUnreachable, UntrustedResponse
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings

VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
"""How the types of OpenID's RISC Profile begin, such as account-disabled; the provider's own begin with its issuer."""
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
MAX_LOGOUT_AGE_SECONDS = 600
LEEWAY_SECONDS = 60
KEEP_SECONDS = 30 * 86_400
"""How long the `jti` of a token is kept, to recognise it when it comes again."""

log = logging.getLogger(__name__)


class InvalidEvent(Exception):
    """The token is not accepted; `err` is a code of RFC 8935 §2.4."""

    def __init__(self, err: str, description: str) -> None:
        super().__init__(err, description)
        self.err, self.description = err, description


def receive(database: Database, provider: Provider, settings: Settings, token: str) -> None:
    """Accept a Security Event Token and store it, once.

    Raises `InvalidEvent`, and `ProviderUnreachable` to have it sent again.
    """
    claims = _verified(provider, token, typ="secevent+jwt")
    events = claims.get("events")
    jti = claims.get("jti")
    if not isinstance(events, dict) or len(events) != 1 or not isinstance(jti, str) or not jti:
        raise InvalidEvent("invalid_request", "needs a jti, and one member in events")
    if "exp" in claims or "sub" in claims:
        raise InvalidEvent("invalid_request", "exp and sub are not used in these tokens")
    if not isinstance(claims.get("iat"), int | float) or claims["iat"] > time.time() + LEEWAY_SECONDS:
        raise InvalidEvent("invalid_request", "iat is missing, or ahead of our clock")
    [event_type] = events
    if event_type == VERIFICATION:
        _store(database, jti, "verification", None)
        return
    for prefix in (f"{settings.issuer}/events/", RISC):
        if event_type.startswith(prefix):
            _store(database, jti, event_type.removeprefix(prefix)[:60], _subject(claims))
    # One of another kind, which we did not ask for, is accepted and ignored (RFC 8417 §2).


def handle_waiting(database: Database, provider: Provider, settings: Settings) -> None:
    """For each event that waits, ask the provider about the school or invitation that it names.

    One that fails does not delay the others: if the provider is unreachable, the next call begins with another one.
    """
    with database.transaction() as connection:
        connection.execute("DELETE FROM received_tokens WHERE received_at < ?", (time.time() - KEEP_SECONDS,))
        rows = connection.execute(
            "SELECT jti, name, estab_id FROM received_tokens WHERE handled_at IS NULL ORDER BY random() LIMIT 100"
        ).fetchall()
    for row in rows:
        try:
            if row["name"].startswith("invitation-"):
                invitations.check_open(database, provider)
            elif row["estab_id"] is not None:
                connections.check(database, provider, row["estab_id"])
                connections.receive(database, provider, settings, row["estab_id"])
        except ProviderError as error:
            log.warning("an event could not be handled, and will be retried: %s: %s", type(error).__name__, error)
            if isinstance(error, ProviderUnreachable):  # each further attempt could take as long as a timeout
                return
            continue
        with database.transaction() as connection:
            connection.execute("UPDATE received_tokens SET handled_at = ? WHERE jti = ?", (time.time(), row["jti"]))


def log_out(database: Database, provider: Provider, token: str) -> None:
    """Sign out whom a logout token names (OpenID Connect Back-Channel Logout §2.6). Raises `InvalidEvent`."""
    claims = _verified(provider, token, typ="logout+jwt")
    now, events, jti = time.time(), claims.get("events"), claims.get("jti")
    if "nonce" in claims or not isinstance(events, dict) or not isinstance(events.get(LOGOUT), dict):
        raise InvalidEvent("invalid_request", "not a logout token")
    if not all(isinstance(claims.get(name), int | float) for name in ("iat", "exp")):
        raise InvalidEvent("invalid_request", "needs iat and exp")
    if claims["exp"] < now - LEEWAY_SECONDS or not -MAX_LOGOUT_AGE_SECONDS < claims["iat"] - now < LEEWAY_SECONDS:
        raise InvalidEvent("invalid_request", "has expired, or is from the future")
    sub, sid = (claims.get(name) if isinstance(claims.get(name), str) else None for name in ("sub", "sid"))
    if not isinstance(jti, str) or not (sub or sid):
        raise InvalidEvent("invalid_request", "needs a jti, and sub or sid")
    if _store(database, jti, "logout", None):
        sign_ins.end_at_provider(database, sub=sub, sid=sid)


def _verified(provider: Provider, token: str, *, typ: str) -> dict[str, Any]:
    try:
        return provider.verify(token, typ=typ)
    except UntrustedResponse as error:
        codes = {"signature": "invalid_key", "issuer": "invalid_issuer", "audience": "invalid_audience"}
        raise InvalidEvent(codes.get(error.reason, "invalid_request"), str(error)) from error


def _store(database: Database, jti: str, name: str, estab_id: str | None) -> bool:
    """Store a received token; False if it had arrived before."""
    now = time.time()
    with database.transaction() as connection:
        stored = connection.execute(
            "INSERT OR IGNORE INTO received_tokens VALUES (?, ?, ?, ?, ?)",
            (jti, estab_id, name, now, None if name not in {"logout", "verification"} else now),
        )
    return stored.rowcount == 1


def _subject(claims: dict[str, Any]) -> str | None:
    subject = claims.get("sub_id")
    if isinstance(subject, dict) and isinstance(subject.get("id"), str) and subject["id"].isalnum():
        return str(subject["id"])
    return None
