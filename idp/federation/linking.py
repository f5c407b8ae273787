"""Link an account of another provider to a person, unlink it, and find the person that it is linked to.

Provider, issuer and `sub` are compared, and the organisation must still be the same. An e-mail address is never
compared: at several providers its holder can set it to anybody's.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.federation import providers
from idp.federation.errors import AccountTaken, AlreadyLinked
from idp.federation.id_token import Identity
from idp.federation.models import LinkedAccount
from idp.federation.providers import ProviderKind
from idp.foundation import clock, crypto, dates
from idp.foundation.database import savepoint, session
from idp.outbox import post


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A provider that is switched on, and the account of it that the person has linked, if any."""

    kind: ProviderKind
    account: LinkedAccount | None


def provider_accounts(person_id: str) -> list[ProviderAccount]:
    """The providers that are switched on, each with the person's account."""
    rows = session().scalars(select(LinkedAccount).where(LinkedAccount.person_id == person_id))
    accounts = {row.provider: row for row in rows}
    return [ProviderAccount(provider.kind, accounts.get(provider.name)) for provider in providers.enabled()]


def account_of(person_id: str, provider_name: str) -> LinkedAccount | None:
    """The account of this provider that the person has linked."""
    conditions = LinkedAccount.person_id == person_id, LinkedAccount.provider == provider_name
    return session().scalar(select(LinkedAccount).where(*conditions))


def link(person: Administrator, identity: Identity) -> bool:
    """Link the account to the person; False if it is linked to them already. The person is notified by mail.

    Raises `AccountTaken` and `AlreadyLinked`. Of two at once, unique constraints let one through.
    """
    row = LinkedAccount(
        id=crypto.new_id("lnk"), person_id=person.id, provider=identity.provider.name, issuer=identity.issuer,
        subject=identity.subject, tenant=identity.tenant, shown_as=identity.shown_as, linked_at=clock.now(),
        last_used_at=None,
    )  # fmt: skip
    _delete_if_removed(identity)
    try:
        with savepoint():
            session().add(row)
    except IntegrityError:
        existing = _account(identity)
        if existing is None:
            raise AlreadyLinked(reason=person.id) from None
        if existing.person_id != person.id:
            raise AccountTaken(reason=f"{person.id}: linked to {existing.person_id}") from None
        return False
    log.record(
        events.ACCOUNT_LINKED, by=person.id, estab=person.sole_estab_id, subject=person.id, provider=row.provider,
        details={"shown_as": row.shown_as} if row.shown_as else None,
    )  # fmt: skip
    _mail("account_linked", person, identity.provider.kind, row.shown_as)
    return True


def unlink(person: Administrator, provider_name: str) -> bool:
    """Unlink the person's account of this provider; False if there is none. The person is notified by mail."""
    statement = (
        delete(LinkedAccount)
        .where(LinkedAccount.person_id == person.id, LinkedAccount.provider == provider_name)
        .returning(LinkedAccount.provider, LinkedAccount.shown_as)
        .execution_options(synchronize_session=False)
    )
    row = session().execute(statement).one_or_none()
    if row is None:
        return False
    log.record(
        events.ACCOUNT_UNLINKED, by=person.id, estab=person.sole_estab_id, subject=person.id, provider=row.provider
    )
    _mail("account_unlinked", person, providers.kind(row.provider), row.shown_as)
    return True


def find_person(identity: Identity) -> Administrator | None:
    """The person whose account it is, locked (`people.get_locked`).

    None if the account is not linked, if the person was removed, or if the organisation of the account has changed.
    """
    account = _account(identity)
    if account is None or account.tenant != identity.tenant:
        return None
    return people.get_locked(account.person_id)


def record_use(identity: Identity, person: Administrator) -> None:
    """Record that the person has signed in with this account."""
    statement = update(LinkedAccount).where(*_is_row_of(identity)).values(last_used_at=clock.now())
    session().execute(statement.execution_options(synchronize_session=False))
    log.record(
        events.ACCOUNT_USED,
        by=person.id,
        estab=person.sole_estab_id,
        subject=person.id,
        provider=identity.provider.name,
    )


def _account(identity: Identity) -> LinkedAccount | None:
    return session().scalar(select(LinkedAccount).where(*_is_row_of(identity)))


def _is_row_of(identity: Identity) -> tuple[ColumnElement[bool], ...]:
    """Conditions that hold for the one row of this account."""
    columns = LinkedAccount.provider, LinkedAccount.issuer, LinkedAccount.subject
    values = identity.provider.name, identity.issuer, identity.subject
    return tuple(column == value for column, value in zip(columns, values, strict=True))


def _delete_if_removed(identity: Identity) -> None:
    """Delete the link of this account if its person was removed, so that it can be linked again."""
    removed = select(Administrator.id).where(Administrator.removed_at.is_not(None))
    statement = delete(LinkedAccount).where(*_is_row_of(identity), LinkedAccount.person_id.in_(removed))
    session().execute(statement.execution_options(synchronize_session=False))


def _mail(template: str, person: Administrator, kind: ProviderKind, shown_as: str) -> None:
    post.email(
        template, to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
        at=dates.day_and_time(clock.now()), account=kind.account,
        shown_as=shown_as if person.name_in_mails is not None else "",
    )  # fmt: skip
