"""Recovery codes: ten for a person who has a second factor; each takes its place once, after the password.

A code has 120 bits and is stored as its SHA-256. A new set replaces the one before. They are not a factor
themselves: when the last second factor is removed, they are deleted too.
"""

import base64
import secrets
from textwrap import wrap
from typing import Final

from sqlalchemy import delete, func, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, dates
from idp.foundation.database import lock, session
from idp.outbox import post
from idp.signin.models import RecoveryCode

CODES_PER_SET: Final = 10
CODE_BYTES: Final = 15
REMINDER_THRESHOLD: Final = 2
"""The mail about a used code advises to make new ones if at most this many are left."""
_LETTERS_FOR_DIGITS: Final = str.maketrans("01", "ol")
"""Codes have neither digit: people who type one mean the letter that looks like it."""


def make(person: Administrator) -> list[str]:
    """A new set for the person, in groups of four characters, to be shown once; codes made before stop working."""
    lock(Administrator, person.id)  # otherwise two sets made at once would both work
    forget(person.id)
    codes = ["-".join(wrap(_random(), 4)) for _ in range(CODES_PER_SET)]
    now = clock.now()
    session().add_all(
        RecoveryCode(digest=_digest(person.id, code), person_id=person.id, created_at=now, used_at=None)
        for code in codes
    )
    log.record(events.RECOVERY_CODES_MADE, by=person.id, estab=person.sole_estab_id, subject=person.id)
    return codes


def count_unused(person_id: str) -> int:
    """How many codes the person can still use."""
    unused = RecoveryCode.person_id == person_id, RecoveryCode.used_at.is_(None)
    return session().scalar(select(func.count()).select_from(RecoveryCode).where(*unused)) or 0


def spend(person_id: str, code: str) -> bool:
    """Use the code up, tell the person by mail, and return True; False if it is not theirs or was used before.

    Of two requests at once, one succeeds.
    """
    unused = RecoveryCode.digest == _digest(person_id, code), RecoveryCode.used_at.is_(None)
    statement = update(RecoveryCode).where(*unused).values(used_at=clock.now())
    if session().execute(statement.returning(RecoveryCode.digest)).one_or_none() is None:
        return False
    person = people.get(person_id)
    if person is not None:
        log.record(events.RECOVERY_CODE_USED, by=person.id, estab=person.sole_estab_id, subject=person.id)
        count = count_unused(person_id)
        post.email(
            "recovery_code_used", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
            at=dates.day_and_time(clock.now()), left=count, are_few=count <= REMINDER_THRESHOLD,
        )  # fmt: skip
    return True


def forget(person_id: str) -> None:
    """Delete the person's codes."""
    statement = delete(RecoveryCode).where(RecoveryCode.person_id == person_id)
    session().execute(statement.execution_options(synchronize_session=False))


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode("ascii").lower()


def _digest(person_id: str, code: str) -> bytes:
    """Digest of the code, whose spaces, hyphens and capitals are ignored."""
    typed = "".join(char for char in code if char.isalnum()).lower().translate(_LETTERS_FOR_DIGITS)
    return crypto.digest(f"recovery code {person_id} {typed}")
