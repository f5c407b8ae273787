"""Browser sessions, known devices, guesses, and operators."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class BrowserSession(Base):
    """Someone is signed in in one browser. The cookie's digest is the key; ending the row ends the login."""

    __tablename__ = "browser_sessions"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(unique=True)
    """The `sid` claim; not a secret."""
    kind: Mapped[str]
    """`administrator` or `operator`."""
    person_id: Mapped[str] = mapped_column(index=True)
    signed_in_at: Mapped[datetime]
    """`auth_time`: the last full sign-in."""
    amr: Mapped[frozenset[str]]
    acr: Mapped[str]
    device: Mapped[str]
    """The browser in words, such as "Firefox on Windows"."""
    address: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """Moved at most once a minute."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    why_ended: Mapped[str | None]


class SessionClient(Base):
    """A client was told of this session by an ID token: it is told when the session ends."""

    __tablename__ = "session_clients"

    sid: Mapped[str] = mapped_column(primary_key=True)
    """The one it was told."""
    client_id: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[str] = mapped_column(index=True)
    """The sid of the session that goes on in its place, where the same person has signed in again since."""
    since: Mapped[datetime] = mapped_column(index=True)


class KnownDevice(Base):
    """A browser in which this person signed in fully; it has its own budget of guesses."""

    __tablename__ = "known_devices"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Guesses(Base):
    """How often something happened: wrong passwords and codes for one account or name, sign-ins, notices."""

    __tablename__ = "guesses"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    """Digest of the account (or of the unknown name), or of account and known device."""
    count: Mapped[int]
    locked_until: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """When it is deleted, unless there is another guess before."""


class Operator(Base):
    """A member of our staff; always signs in with a second factor."""

    __tablename__ = "operators"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_folded: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    totp_sealed: Mapped[str | None]
    totp_step: Mapped[int | None]
    """The last time step used: each is good once."""
    created_at: Mapped[datetime]
    set_up_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
