"""What a browser is given back a little later: sealed, bound to that browser, short-lived, and bounded.

Two things are kept so: the fields of a form whose sender was signed out meanwhile (`again`), and the page that
answered a form (`answers`). Anybody can have rows made here, so there are only so many; where there is no room,
nothing is kept and the caller goes on without.
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
from idp.foundation.database import Base, connection
from idp.foundation.retention import DeleteAfter
from idp.foundation.web import throttle, transactions

LIFETIME: Final = timedelta(minutes=30)
MAX_BYTES: Final = 32_768
"""Of one thing that is kept, compressed; our pages take 3 to 6 kB."""
MAX_OF_A_NETWORK: Final = 100
"""Rows alive at once from one network address: a school's office shares one."""
MAX_ROWS: Final = 4_000
"""Rows alive at once, in all."""

log = structlog.get_logger(__name__)


class KeptForm(Base):
    """Something kept for a browser."""

    __tablename__ = "kept_forms"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """Of the browser's secret and the name of what is kept."""
    network: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str | None]
    """The person it belongs to, where that is known."""
    sealed: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)


RETENTION: Final = (DeleteAfter(KeptForm.expires_at, "expired"),)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept, and for whom."""

    content: bytes
    owner: str | None


def this_browser() -> str:
    """The secret in this browser's form cookie, given to it now if it has none yet."""
    return str(form_cookie.setdefault("browser", crypto.new_secret()))


def forget_browser() -> None:
    """Delete what was kept for the person who leaves this browser now."""
    form_cookie["browser"] = crypto.new_secret()


def known_browser() -> str:
    """The same, or nothing: what is kept under nothing belongs to the caller who knows its name."""
    return str(form_cookie.get("browser", ""))


def keeps_cookies() -> bool:
    """Whether this browser is seen to keep our form cookie; another site's POST comes without it, too."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies


def put(name: str, content: bytes, *, browser: str, owner: str | None = None) -> bool:
    """Keep `content` under `name` for `browser`, in the place of what has that name; whether there was room.

    In a transaction of its own: the one before it has ended, or has only read.
    """
    packed = zlib.compress(content)
    if len(packed) > MAX_BYTES:
        return False
    digest, network, now = _digest(browser, name), throttle.caller(), clock.now()
    row = {
        "digest": digest, "network": network, "owner": owner, "expires_at": now + LIFETIME,
        "sealed": runtime.sealer().seal(packed, where=_where(digest)),
    }  # fmt: skip
    try:
        database.end_read_transaction()  # SQLite's only writer would wait for itself
        with transactions.work(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
            gone = (KeptForm.expires_at <= now) | (KeptForm.digest == digest)
            connection().execute(delete(KeptForm).where(gone))
            has_room = _is_below(MAX_OF_A_NETWORK, network) and _is_below(MAX_ROWS)
            if has_room:
                connection().execute(insert(KeptForm), row)
    except SQLAlchemyError as fault:  # the caller can do without
        log.warning("not kept", name="form", error=type(fault).__name__)
        return False
    return has_room


def get(name: str, *, browser: str) -> Kept | None:
    """What is kept under `name` for `browser`; None where it never was, or no longer is."""
    digest = _digest(browser, name)
    found = select(KeptForm.sealed, KeptForm.owner).where(KeptForm.digest == digest, KeptForm.expires_at > clock.now())
    row = connection().execute(found).one_or_none()
    if row is None:
        return None
    try:
        return Kept(zlib.decompress(runtime.sealer().unseal(row.sealed, where=_where(digest))), row.owner)
    except crypto.CannotUnseal:  # its key was taken out of the settings since
        return None


def drop(name: str, *, browser: str) -> None:
    """Keep it no longer. As `put`, in a transaction of its own."""
    database.end_read_transaction()
    with transactions.work(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
        connection().execute(delete(KeptForm).where(KeptForm.digest == _digest(browser, name)))


def _digest(browser: str, name: str) -> bytes:
    return crypto.digest(f"{browser}\0{name}")


def _where(digest: bytes) -> str:
    return f"kept_forms.sealed.{digest.hex()}"


def _is_below(most: int, network: str | None = None) -> bool:
    """Whether fewer than `most` rows are alive, counting no further than that."""
    only = () if network is None else (KeptForm.network == network,)
    counted = select(KeptForm.digest).where(*only).limit(most).subquery()
    return int(connection().execute(select(func.count()).select_from(counted)).scalar_one()) < most
