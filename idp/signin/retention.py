"""How long sessions, factors, known browsers, counted guesses and password resets are kept (security.md §6.4)."""

from typing import Final

from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.foundation.retention import DeleteAfter, KeepAll, KeepNewest, Rule
from idp.signin.models import (
    AuthenticatorApp,
    BrowserSession,
    Developer,
    FactorRecovery,
    Guesses,
    HalfSignIn,
    KnownDevice,
    Operator,
    Passkey,
    PasskeyChallenge,
    PasswordReset,
    RecoveryCode,
    SessionClient,
    SignInRecord,
    WrongPasswords,
)

_REMOVED_PEOPLE = select(Administrator.id).where(Administrator.removed_at.is_not(None))

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(BrowserSession.expires_at, "sessions"),
    KeepNewest(BrowserSession.expires_at, 200, BrowserSession.ended_at.is_not(None), BrowserSession.person_id),
    DeleteAfter(SignInRecord.at, "sign_ins"),
    KeepNewest(SignInRecord.at, 5_000, per=SignInRecord.person_id),
    DeleteAfter(WrongPasswords.last_at, "sign_ins"),
    DeleteAfter(SessionClient.since, "sessions"),
    DeleteAfter(KnownDevice.expires_at, "expired"),
    KeepNewest(KnownDevice.expires_at, 50, per=KnownDevice.person_id),
    DeleteAfter(AuthenticatorApp.created_at, "expired", AuthenticatorApp.confirmed_at.is_(None)),
    DeleteAfter(HalfSignIn.expires_at, "expired"),
    DeleteAfter(FactorRecovery.expires_at, "expired"),
    DeleteAfter(AuthenticatorApp.created_at, "expired", AuthenticatorApp.person_id.in_(_REMOVED_PEOPLE)),
    DeleteAfter(Passkey.created_at, "expired", Passkey.person_id.in_(_REMOVED_PEOPLE)),
    DeleteAfter(RecoveryCode.created_at, "expired", RecoveryCode.person_id.in_(_REMOVED_PEOPLE)),
    DeleteAfter(PasskeyChallenge.expires_at, "counters"),
    KeepNewest(PasskeyChallenge.expires_at, 200_000),
    DeleteAfter(Guesses.expires_at, "counters"),
    KeepNewest(Guesses.expires_at, 200_000),
    DeleteAfter(PasswordReset.expires_at, "expired"),
    KeepNewest(PasswordReset.expires_at, 20_000, PasswordReset.proven_at.is_(None)),
    KeepAll(Operator, "the audit log names their ids, and they are few"),
    KeepAll(Developer, "the audit log names their ids; as many as a partner may have"),
)
