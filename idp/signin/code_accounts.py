"""Accounts that sign in with both a password and the code of an app: those of our staff, and of partners' people.

Each kind has a table of its own, so that one can never be taken for the other. An account is set up by a link that
works once; only its person ever chooses or sees its password.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

from sqlalchemy import or_, select, update

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import PersonalSecret
from idp.foundation import clock, crypto, database, runtime
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.signin import devices, guesses, second_factor
from idp.signin.models import Developer, Operator

SET_UP_LIFETIME: Final = timedelta(hours=24)
AccountT = TypeVar("AccountT", Operator, Developer)


class WrongCredentials(Refusal):
    """The address, password or code is wrong; the error does not say which."""

    code, status, title = "wrong_credentials", 401, "We could not sign you in"
    message = "The e-mail address, password and code do not match. Please check all three."


class WrongCode(Refusal):
    """The code is not the one of the app that is being set up."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = "That code is not the one we expect now. Please type the one your app shows at this moment."


@dataclass(frozen=True, slots=True)
class SetUp(Generic[AccountT]):
    """An account that is being set up, and the seed for its person's app."""

    account: AccountT
    seed: str

    @property
    def app(self) -> second_factor.NewApp:
        """What the page shows for the app."""
        return second_factor.NewApp(self.seed, self.account.email)


@dataclass(frozen=True, slots=True)
class Accounts(Generic[AccountT]):
    """One kind of account."""

    model: type[AccountT]
    name: str
    """`operator` or `developer`: the kind of its sessions, and part of the key of guesses at unknown addresses."""
    purpose: str
    """The purpose of its set-up links, as `links` stores it."""
    event: str
    """The audit event of a finished set-up."""

    def find_by_address(self, email: str) -> AccountT | None:
        """The account with this address, a disabled one too."""
        return session().scalar(select(self.model).where(self.model.email_folded == people.fold_email(email)))

    def issue_link(self, account: AccountT) -> str:
        """The secret of a new set-up link; earlier ones stop working."""
        return links.issue(account.id, self.purpose, SET_UP_LIFETIME)

    def find_by_link(self, secret: str) -> AccountT:
        """The account of this set-up link. Raises a `LinkRefused`."""
        return session().get_one(self.model, links.check(secret, self.purpose).person_id)

    def begin_set_up(self, secret: str) -> SetUp[AccountT]:
        """The account and the seed, which stays the same until the link is used. Raises a `LinkRefused`."""
        link = links.check(secret, self.purpose)
        if link.value is None:
            _store_seed(link)
        seed = runtime.sealer().unseal(link.value or "", context=_sealing_context(link)).decode()
        return SetUp(session().get_one(self.model, link.person_id), seed)

    def finish_set_up(self, secret: str, *, password_hash: str, code: str) -> AccountT:
        """Use the link up and store the password and the seed. Raises `WrongCode` or a `LinkRefused`.

        `password_hash` is calculated outside the transaction.
        """
        set_up = self.begin_set_up(secret)
        account, step = set_up.account, second_factor.step_of(set_up.seed, code)
        if step is None:
            raise WrongCode(reason=account.id)
        links.spend(secret, self.purpose, account.id)
        account.password_hash, account.totp_step, account.set_up_at = password_hash, step, clock.now()
        account.totp_sealed = runtime.sealer().seal(set_up.seed.encode(), context=self._seed_context(account.id))
        links.erase_values(account.id)
        log.record(self.event, by=account.id, subject=account.id)
        return account

    def check(self, email: str, password: str, code: str, *, device: str | None) -> AccountT:
        """The account with this address, password and code.

        Raises `WrongCredentials`, `Locked` and `TooManySignIns`. As with `password.check`, the caller must render a
        page, so that the guess is counted.
        """
        account = self.find_by_address(email)
        if account is not None and account.disabled_at is not None:
            account = None
        account_id, stored = (account.id, account.password_hash) if account else (None, None)
        counter = (
            devices.guess_counter(account_id, device)
            if account_id
            else guesses.key(self.name, people.fold_email(email))
        )
        guesses.refuse_locked(counter)
        database.end_read_transaction()
        is_right = runtime.passwords().matches(stored, password)

        locks = guesses.count(counter)
        if not is_right or account_id is None or not self._spend_code(account_id, code):
            log.record(events.SIGN_IN_FAILED, by="stranger", subject=account_id)
            if locks:
                log.record(events.ACCOUNT_LOCKED, by="system", subject=account_id)
            raise WrongCredentials(reason=account_id or f"no {self.name} with that address")
        guesses.forget(counter)
        guesses.count_sign_in(account_id)
        return session().get_one(self.model, account_id)

    def _spend_code(self, account_id: str, code: str) -> bool:
        """Whether the code is right and newer than the last one used. Of two requests at once, one succeeds."""
        model, account = self.model, session().get_one(self.model, account_id)
        if account.totp_sealed is None:
            return False
        seed = runtime.sealer().unseal(account.totp_sealed, context=self._seed_context(account_id)).decode()
        step = second_factor.step_of(seed, code)
        if step is None:
            return False
        unused = or_(model.totp_step.is_(None), model.totp_step < step)
        result = session().execute(
            update(model).where(model.id == account_id, unused).values(totp_step=step).returning(model.id)
        )
        return result.one_or_none() is not None

    def _seed_context(self, account_id: str) -> str:
        return f"{self.model.__tablename__}/{account_id}/totp_sealed"


OPERATORS: Final = Accounts(Operator, "operator", "operator_set_up", events.OPERATOR_SET_UP)
DEVELOPERS: Final = Accounts(Developer, "developer", "developer_set_up", events.DEVELOPER_SET_UP)


def seal_for_set_up(secret: str, password_hash: str) -> str:
    """Encrypt the hash of an accepted password for the page of this link, until the code is right too."""
    return runtime.sealer().seal(password_hash.encode(), context=_page_context(secret))


def unseal_for_set_up(secret: str, sealed: str) -> str | None:
    """The hash that `seal_for_set_up` encrypted for this link; None if `sealed` is anything else."""
    try:
        return runtime.sealer().unseal(sealed, context=_page_context(secret)).decode()
    except crypto.UnsealError:
        return None


def _page_context(secret: str) -> str:
    return f"page/set-up/{crypto.digest(secret).hex()}"


def _store_seed(link: PersonalSecret) -> None:
    """Store a new seed with the link, unless another page has just stored one: then both pages show that one."""
    sealed = runtime.sealer().seal(second_factor.new_seed().encode(), context=_sealing_context(link))
    links.set_value(link, sealed)


def _sealing_context(link: PersonalSecret) -> str:
    return f"personal_secrets/{link.digest.hex()}/value"
