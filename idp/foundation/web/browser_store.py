"""Server-side storage for a browser: encrypted, bound to that browser, kept for 30 minutes, and limited in size.

It holds drafts of forms (`form_drafts`) and pages that respond to a POST (`post_redirect_get`). A client that is not
signed in can cause rows here, so their number is limited; beyond the limit nothing is stored, and the caller has to do
without it.
"""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from flask import current_app, request, session as form_cookie
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation import clock, crypto, database, runtime
from idp.foundation.database import Base, connection, transient
from idp.foundation.retention import DeleteAfter
from idp.foundation.web import throttle, transactions

LIFETIME: Final = timedelta(minutes=30)
"""How long an item is kept."""
MAX_ITEM_BYTES: Final = 32_768
"""The largest content of an item, compressed; our pages take 3 to 6 kB."""
MAX_ROWS_PER_NETWORK: Final = 100
"""Unexpired rows from one network, which all computers of a school's office may share."""
MAX_ROWS: Final = 4_000
"""Unexpired rows altogether."""

log = structlog.get_logger(__name__)


@transient
class BrowserItem(Base):
    """An item stored for a browser."""

    __tablename__ = "kept_forms"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """Digest of the browser's id and the item's name."""
    network: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str | None]
    """The person it belongs to, if known."""
    sealed: Mapped[str]
    """The content, compressed and sealed."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


RETENTION: Final = (DeleteAfter(BrowserItem.expires_at, "expired"),)


@dataclass(frozen=True, slots=True)
class Item:
    """The content of a row, and its owner."""

    content: bytes
    owner: str | None


def ensure_browser_id() -> str:
    """The secret id of this browser, from its form cookie; a new one is set if it has none."""
    return str(form_cookie.setdefault("browser", crypto.new_secret()))


def browser_id() -> str:
    """The id of this browser, or "". Items stored under "" can be read by any client that knows their name."""
    return str(form_cookie.get("browser", ""))


def renew_browser_id() -> None:
    """Give this browser a new id when a person signs out, so that their items can no longer be read."""
    form_cookie["browser"] = crypto.new_secret()


def has_form_cookie() -> bool:
    """Whether the request has our form cookie: the browser accepts cookies, and no other site sent the request."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies


def put(name: str, content: bytes, *, browser: str, owner: str | None = None) -> bool:
    """Store `content` under `name` for `browser`, replacing an item of that name; False beyond the limits.

    It runs in a transaction of its own; an earlier one of this request must have ended, or only have read.
    """
    compressed = zlib.compress(content)
    if len(compressed) > MAX_ITEM_BYTES:
        return False
    digest, network, now = _digest(browser, name), throttle.caller_key(), clock.now()
    row = {
        "digest": digest, "network": network, "owner": owner, "expires_at": now + LIFETIME,
        "sealed": runtime.sealer().seal(compressed, context=_sealing_context(digest)),
    }  # fmt: skip
    try:
        database.end_read_transaction()  # otherwise SQLite's single writer would wait for itself
        with transactions.transaction(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
            outdated = (BrowserItem.expires_at <= now) | (BrowserItem.digest == digest)
            connection().execute(delete(BrowserItem).where(outdated))
            is_within_limits = _is_below(MAX_ROWS_PER_NETWORK, network) and _is_below(MAX_ROWS)
            if is_within_limits:
                connection().execute(insert(BrowserItem), row)
    except SQLAlchemyError as error:  # the caller can continue without it
        log.warning("browser item not stored", error=type(error).__name__)
        return False
    return is_within_limits


def get(name: str, *, browser: str) -> Item | None:
    """The item stored under `name` for `browser`, or None if there is none or it has expired."""
    digest = _digest(browser, name)
    statement = select(BrowserItem.sealed, BrowserItem.owner).where(
        BrowserItem.digest == digest, BrowserItem.expires_at > clock.now()
    )
    row = connection().execute(statement).one_or_none()
    if row is None:
        return None
    try:
        return Item(zlib.decompress(runtime.sealer().unseal(row.sealed, context=_sealing_context(digest))), row.owner)
    except crypto.UnsealError:  # its key has been removed from the settings since
        return None


def remove(name: str, *, browser: str) -> None:
    """Delete an item. It runs in a transaction of its own, as `put` does."""
    database.end_read_transaction()
    with transactions.transaction(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
        connection().execute(delete(BrowserItem).where(BrowserItem.digest == _digest(browser, name)))


def _digest(browser: str, name: str) -> bytes:
    return crypto.digest(f"{browser}\0{name}")


def _sealing_context(digest: bytes) -> str:
    return f"kept_forms.sealed.{digest.hex()}"


def _is_below(limit: int, network: str | None = None) -> bool:
    """Whether there are fewer than `limit` rows; counts no further than that."""
    conditions = () if network is None else (BrowserItem.network == network,)
    statement = select(BrowserItem.digest).where(*conditions).limit(limit).subquery()
    return int(connection().execute(select(func.count()).select_from(statement)).scalar_one()) < limit
