"""The sign-ins of a person, kept for twelve months: when, with which browser, from where, how, and for which school.

The place is described as in `own_sessions` (decision 49). Of the network only a keyed digest is stored, so the table
has no addresses. Wrong passwords are counted by day, in one row for each day.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import select

from idp.estabs.models import Estab
from idp.foundation import clock, crypto, inserts, runtime
from idp.foundation.database import session
from idp.foundation.web.throttle import network_of
from idp.signin.models import SignInRecord, WrongPasswords
from idp.signin.own_sessions import OTHER_NETWORK, SAME_NETWORK, THIS_BROWSER
from idp.signin.session import SignedIn

PER_PAGE: Final = 50
MAX_DAYS: Final = 100
"""Days with wrong passwords that are shown."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in as a page shows it."""

    at: datetime
    device: str
    place: str
    method: str
    school: str | None
    """The name of the school that the person acted for; None if none."""


def record(signed_in: SignedIn, *, device: str, address: str, provider: str | None = None) -> None:
    """Record the sign-in that began this session; `provider` is as in `SignInRecord`."""
    session().add(
        SignInRecord(
            id=crypto.new_id("sin"), sid=signed_in.sid, person_id=signed_in.id, at=signed_in.auth_time,
            amr=signed_in.amr, provider=provider, device=device, network=_network(signed_in.id, address),
            estab_id=signed_in.estab_id or signed_in.locked_estab_id,
        )
    )  # fmt: skip


def note_wrong_password(person_id: str) -> None:
    """Count a wrong password or code at a person's account."""
    now = clock.now()
    statement = inserts.insert(WrongPasswords).values(person_id=person_id, day=clock.today(), count=1, last_at=now)
    session().execute(
        statement.on_conflict_do_update(
            index_elements=[WrongPasswords.person_id, WrongPasswords.day],
            set_={"count": WrongPasswords.count + 1, "last_at": now},
        )
    )


def newest(signed_in: SignedIn, address: str, *, page: int = 1) -> tuple[list[SignIn], bool]:
    """A page of the person's sign-ins, newest first, and whether there are older ones."""
    statement = (
        select(SignInRecord, Estab)
        .outerjoin(Estab, Estab.id == SignInRecord.estab_id)
        .where(SignInRecord.person_id == signed_in.id)
        .order_by(SignInRecord.at.desc(), SignInRecord.id)
        .limit(PER_PAGE + 1)
        .offset((page - 1) * PER_PAGE)
    )
    rows = session().execute(statement).all()
    network = _network(signed_in.id, address)
    sign_ins = [
        SignIn(
            row.at, row.device, _place(row, signed_in.sid, network), _method(row.amr, row.provider),
            None if estab is None else estab.name,
        )
        for row, estab in rows[:PER_PAGE]
    ]  # fmt: skip
    return sign_ins, len(rows) > PER_PAGE


def wrong_passwords(person_id: str) -> list[tuple[date, int]]:
    """The days on which wrong passwords or codes were tried at the person's account, newest first, and how many."""
    statement = select(WrongPasswords).where(WrongPasswords.person_id == person_id)
    rows = session().scalars(statement.order_by(WrongPasswords.day.desc()).limit(MAX_DAYS))
    return [(row.day, row.count) for row in rows]


def _place(row: SignInRecord, sid: str, network: bytes) -> str:
    return THIS_BROWSER if row.sid == sid else SAME_NETWORK if row.network == network else OTHER_NETWORK


def _method(amr: frozenset[str], provider: str | None) -> str:
    """The methods (RFC 8176) in words."""
    first = provider or ("Password" if "pwd" in amr else "")
    second = "passkey" if "user" in amr else "code" if "otp" in amr else ""
    return f"{first} and {second}" if first and second else first or second.capitalize()


def _network(person_id: str, address: str) -> bytes:
    return crypto.hmac_sha256(runtime.settings().secrets.tokens, "network of a sign-in", person_id, network_of(address))
