"""An administrator's authenticator app: set it up, check a code of it, replace it, remove it.

The seed is sealed in its row. It is the same on every page of one set-up, so that reloading does not invalidate what
was scanned. The app in use stays in use until the person has typed a right code of the new one.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import Refusal
from idp.signin import second_factor
from idp.signin.models import AuthenticatorApp
from idp.signin.second_factor import NewApp

SET_UP_LIFETIME = timedelta(minutes=30)


class WrongCode(Refusal):
    """The code is not the one that the new app shows now."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = (
        "That is not the code that we expect now. Please type the one your app shows at this moment. If it is refused "
        "again, check that the time on your phone is right."
    )


class SetUpExpired(Refusal):
    """This session has no unfinished set-up, or it took too long."""

    code, status, title = "set_up_expired", 410, "That took too long"
    message = (
        "The picture that you scanned is no longer valid. Please delete the account from your app and scan the new one."
    )


def begin(person_id: str, account: str, sid: str) -> NewApp:
    """A new app for the person, which shows it as `account`; the same one until the session `sid` has finished it."""
    row = _unfinished_set_up(person_id, sid)
    if row is None:
        lock(Administrator, person_id)  # otherwise two windows opened at once would show two seeds
        row = _unfinished_set_up(person_id, sid)
    if row is None:
        app_id, seed = crypto.new_id("app"), second_factor.new_seed()
        row = AuthenticatorApp(
            id=app_id, person_id=person_id, sid=sid,
            seed_sealed=runtime.sealer().seal(seed.encode(), context=_seed_context(app_id)),
            step=None, created_at=clock.now(), confirmed_at=None, last_used_at=None,
        )  # fmt: skip
        _delete(AuthenticatorApp.person_id == person_id, AuthenticatorApp.confirmed_at.is_(None))
        session().add(row)
    return NewApp(_seed(row), account)


def finish(person_id: str, sid: str, code: str) -> bool:
    """Take the new app into use if `code` is one of it; returns whether it replaced another app.

    Raises `WrongCode` and `SetUpExpired`. Two requests at once follow one another at the person's row; the second is
    refused, because the set-up is finished.
    """
    lock(Administrator, person_id)
    row = _unfinished_set_up(person_id, sid)
    if row is None:
        raise SetUpExpired(reason=person_id)
    step = second_factor.step_of(_seed(row), code)
    if step is None:
        raise WrongCode(reason=person_id)
    replaced = _delete(AuthenticatorApp.person_id == person_id, AuthenticatorApp.confirmed_at.is_not(None))
    unfinished = AuthenticatorApp.id == row.id, AuthenticatorApp.confirmed_at.is_(None)
    values = {"confirmed_at": clock.now(), "last_used_at": clock.now(), "step": step}
    session().execute(update(AuthenticatorApp).where(*unfinished).values(**values))
    return replaced


def in_use(person_id: str) -> AuthenticatorApp | None:
    """The app that the person signs in with."""
    conditions = AuthenticatorApp.person_id == person_id, AuthenticatorApp.confirmed_at.is_not(None)
    return session().scalar(select(AuthenticatorApp).where(*conditions))


def is_set_up(person_id: str) -> bool:
    """Whether the person signs in with an app."""
    return in_use(person_id) is not None


def spend_code(person_id: str, code: str) -> bool:
    """Whether the code is right and newer than the last one used. Of two requests at once, one succeeds."""
    app = in_use(person_id)
    step = None if app is None else second_factor.step_of(_seed(app), code)
    if app is None or step is None:
        return False
    unused = AuthenticatorApp.id == app.id, AuthenticatorApp.step < step
    statement = update(AuthenticatorApp).where(*unused).values(step=step, last_used_at=clock.now())
    return session().execute(statement.returning(AuthenticatorApp.id)).one_or_none() is not None


def remove(person_id: str) -> bool:
    """Delete the person's app, and any that is being set up; returns whether one was in use."""
    was_in_use = _delete(AuthenticatorApp.person_id == person_id, AuthenticatorApp.confirmed_at.is_not(None))
    _delete(AuthenticatorApp.person_id == person_id)
    return was_in_use


def _unfinished_set_up(person_id: str, sid: str) -> AuthenticatorApp | None:
    since: datetime = clock.now() - SET_UP_LIFETIME
    own = AuthenticatorApp.person_id == person_id, AuthenticatorApp.sid == sid
    unfinished = AuthenticatorApp.confirmed_at.is_(None), AuthenticatorApp.created_at > since
    newest = AuthenticatorApp.created_at.desc(), AuthenticatorApp.id
    return session().scalars(select(AuthenticatorApp).where(*own, *unfinished).order_by(*newest).limit(1)).first()


def _delete(*conditions: ColumnElement[bool]) -> bool:
    statement = delete(AuthenticatorApp).where(*conditions).returning(AuthenticatorApp.id)
    return bool(session().execute(statement.execution_options(synchronize_session=False)).all())


def _seed(row: AuthenticatorApp) -> str:
    return runtime.sealer().unseal(row.seed_sealed, context=_seed_context(row.id)).decode()


def _seed_context(app_id: str) -> str:
    return f"authenticator_apps/{app_id}/seed_sealed"
