"""The tables of sessions, sign-ins, second factors, known devices, guesses, resets, operators and developers."""

from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base, transient
from idp.partners.models import Partner


@transient
class BrowserSession(Base):
    """A person's session in one browser. The key is the cookie's digest; setting `ended_at` signs them out."""

    __tablename__ = "browser_sessions"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(unique=True)
    """The `sid` claim; not a secret."""
    kind: Mapped[str]
    """`administrator`, `operator` or `developer`."""
    person_id: Mapped[str] = mapped_column(index=True)
    estab_id: Mapped[str | None]
    """The internal id of the school that the person acts for; None until they have chosen one, and for operators."""
    signed_in_at: Mapped[datetime]
    """`auth_time`: the last full sign-in."""
    amr: Mapped[frozenset[str]]
    acr: Mapped[str]
    device: Mapped[str]
    """The browser, such as "Firefox on Windows"."""
    address: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """Updated at most once a minute."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    why_ended: Mapped[str | None]


class SignInRecord(Base):
    """A sign-in of a person of a school, for the list that they can look through. It has no address."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(index=True)
    """The `sid` of the session that it began, or of the one that took its place."""
    person_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    amr: Mapped[frozenset[str]]
    provider: Mapped[str | None]
    """What pages call the account of another provider that took the place of the password."""
    device: Mapped[str]
    network: Mapped[bytes]
    """A keyed digest of person and network: enough to see whether two sign-ins came from the same one."""
    estab_id: Mapped[str | None]
    """The internal id of the school that the person acted for first."""


class WrongPasswords(Base):
    """How many wrong passwords and codes were tried at a person's account on one day."""

    __tablename__ = "wrong_passwords"

    person_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    """The date in British time."""
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)


@transient
class SessionClient(Base):
    """A client that received an ID token of a session, and is notified when the session ends."""

    __tablename__ = "session_clients"

    sid: Mapped[str] = mapped_column(primary_key=True)
    """The `sid` in its ID token."""
    client_id: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[str] = mapped_column(index=True)
    """The current session's sid; another one if the same person has signed in again since."""
    since: Mapped[datetime] = mapped_column(index=True)


class KnownDevice(Base):
    """A browser in which this person signed in with a password; its wrong guesses are counted separately."""

    __tablename__ = "known_devices"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Passkey(Base):
    """A person's passkey: the public half of a key that an authenticator made for us (W3C Web Authentication)."""

    __tablename__ = "passkeys"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    credential_id: Mapped[bytes] = mapped_column(unique=True)
    """The id that the authenticator chose. Not a secret."""
    public_key: Mapped[bytes]
    """The public key in COSE form."""
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """Its signature counter at the last use; always 0 with authenticators that have none."""
    transports: Mapped[frozenset[str]]
    """How a browser reaches the authenticator: `internal`, `hybrid`, `usb`, …"""
    can_be_backed_up: Mapped[bool]
    """Whether it can be copied to the person's other devices by the service that keeps it."""
    is_backed_up: Mapped[bool]
    """Whether it was copied, as of the last use."""
    name: Mapped[str]
    """The name that the person gave it."""
    created_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]


@transient
class PasskeyChallenge(Base):
    """A challenge that an authenticator is to sign. The key is its digest; it is spent by the first answer."""

    __tablename__ = "passkey_challenges"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    """`register`, `sign_in` or `second_step`."""
    browser: Mapped[bytes]
    """Digest of the id of the browser that it was given to."""
    person_id: Mapped[str | None]
    """Whose passkey is asked for; NULL where a person signs in."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class Guesses(Base):
    """A counter of guesses at one account or name, of sign-ins, or of notices."""

    __tablename__ = "guesses"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    """Digest of the account (or of the unknown name), or of account and known device."""
    count: Mapped[int]
    locked_until: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """When it is deleted, unless it is counted again before."""


@transient
class PasswordReset(Base):
    """A reset of a forgotten password, bound to the browser that asked for it. Names that do not exist get rows too."""

    __tablename__ = "password_resets"

    id: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[bytes] = mapped_column(unique=True)
    """Digest of the secret in the browser's cookie; another one once the code was accepted."""
    person_id: Mapped[str | None] = mapped_column(index=True)
    number: Mapped[str | None]
    """The confirmed mobile that the codes go to; None if there is none, and then no code is accepted."""
    messages: Mapped[bytes]
    """The counter of messages sent to this account, or for this unknown name."""
    code_digest: Mapped[bytes]
    code_made_at: Mapped[datetime]
    tries: Mapped[int]
    """How often the newest code has been tried."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    proven_at: Mapped[datetime | None]
    """When the code was accepted; from then on a password can be chosen."""
    used_at: Mapped[datetime | None]


@transient
class FactorRecovery(Base):
    """A wait after which a person's second factors are removed, because they were lost."""

    __tablename__ = "factor_recoveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    notices: Mapped[int]
    """The newest notice that was sent: 1 at the start, 2 half-way, 3 when the wait was over."""
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    stopped_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class Operator(Base):
    """A member of our staff; signs in with a second factor."""

    __tablename__ = "operators"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    email_folded: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    totp_sealed: Mapped[str | None]
    totp_step: Mapped[int | None]
    """The last time step that was used: each is accepted once."""
    created_at: Mapped[datetime]
    set_up_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class Developer(Base):
    """One of a partner's people; signs in with a second factor. They act for that partner alone."""

    __tablename__ = "developers"

    id: Mapped[str] = mapped_column(primary_key=True)
    partner_id: Mapped[str] = mapped_column(ForeignKey("partners.id"), index=True)
    is_owner: Mapped[bool]
    """Whether the person may invite and remove others of the same partner."""
    name: Mapped[str]
    email: Mapped[str]
    email_folded: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    totp_sealed: Mapped[str | None]
    totp_step: Mapped[int | None]
    """The last time step that was used: each is accepted once."""
    created_at: Mapped[datetime]
    invited_by: Mapped[str]
    """The operator or the developer who invited them, or `cli`."""
    invited_at: Mapped[datetime]
    """When the newest link was sent."""
    set_up_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]

    partner: Mapped[Partner] = relationship(lazy="joined")


class AuthenticatorApp(Base):
    """An administrator's authenticator app. It is in use once a code of it was confirmed."""

    __tablename__ = "authenticator_apps"
    __table_args__ = (
        Index(
            "uq_authenticator_apps_confirmed", "person_id", unique=True,
            postgresql_where=text("confirmed_at IS NOT NULL"), sqlite_where=text("confirmed_at IS NOT NULL"),
        ),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    sid: Mapped[str]
    """The session in which it was set up: no other one can finish that."""
    seed_sealed: Mapped[str]
    step: Mapped[int | None]
    """The last time step that was used: each is accepted once."""
    created_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


@transient
class HalfSignIn(Base):
    """A sign-in whose password was right and whose second step is missing. The key is the digest of a cookie."""

    __tablename__ = "half_sign_ins"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(index=True)
    amr: Mapped[frozenset[str]]
    """How the first step was done."""
    name_counter: Mapped[bytes]
    """The counter of guesses at the name that was typed (`guesses`), which the second step uses too."""
    provider: Mapped[str | None]
    """As in `SignInRecord`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """A code that takes the place of a second factor once."""

    __tablename__ = "recovery_codes"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """Digest of the person's id and the code."""
    person_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
