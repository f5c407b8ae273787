"""Passwords: setting one, and why we refuse a chosen one (security.md §5).

Of a person's own password nothing is folded, trimmed or truncated: what was typed is what is hashed. There
are no rules about digits and signs; what counts is how much is left of a password once everything about the school
and its people, and every run of keys, has been taken out. Passphrases of ours are made in `passphrases`.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import update

from idp.audit import events, log
from idp.estabs import common
from idp.estabs.models import Administrator
from idp.foundation import clock, runtime
from idp.foundation.crypto import PASSWORD_LIMIT
from idp.foundation.database import session

SHORTEST = 12
LEFT_AT_LEAST = 8
"""Characters that are neither a name nor a run of keys."""

PRODUCT_WORDS = ("idaas", "xporter", "groupcall", "xporterondemand", "emerge")


def set_hash(person: Administrator, hashed: str, *, by: str, is_ours: bool = False) -> None:
    """Let `hashed`, made outside of the transaction, be the person's password.

    `is_ours` for a passphrase that we made, which is taken with blanks and capitals too (`passphrases`).
    """
    person.password_hash, person.password_is_ours = hashed, is_ours
    person.password_changed_at = person.updated_at = clock.now()
    log.record(events.PASSWORD_SET, by=by, estab=person.estab_id, subject=person.id)


def replace_hash(person: Administrator, hashed: str, *, made_at: datetime | None) -> bool:
    """Let `hashed`, of a passphrase that we made, replace the password set at `made_at`; False where it is another."""
    now = clock.now()
    replaced = session().execute(
        update(Administrator)
        .where(Administrator.id == person.id, Administrator.password_changed_at == made_at)
        .values(password_hash=hashed, password_is_ours=True, password_changed_at=now, updated_at=now)
        .returning(Administrator.id)
    )
    if replaced.one_or_none() is None:
        return False
    session().refresh(person)
    return True


def renew_hash(person: Administrator, hashed: str) -> None:
    """Store the same password by a newer hash."""
    person.password_hash = hashed


def words_about(person: Administrator) -> tuple[str, ...]:
    """What a stranger knows of a person and their school, and would try first."""
    school = person.estab.school
    about = (
        person.name, *re.split(r"[@.]", person.email), person.username, person.estab.estab_id, school.name,
        school.town, school.postcode, school.register_id, school.dfe_number,
    )  # fmt: skip
    return tuple(word for word in about if word)


def why_not(password: str, about: Iterable[str] = ()) -> str | None:
    """Why this password is refused, in a sentence for the person; None when it is good.

    `about` is what others know of the person: `words_about`, and the names of partners.
    """
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters. Several words together make a good password."
    if len(password) > PASSWORD_LIMIT:
        return f"Use at most {PASSWORD_LIMIT} characters."
    if common.is_common(password):
        return "Very many people use this password, so it would be tried first. Please choose another."
    if _left(password, about) < LEFT_AT_LEAST:
        return (
            "Too much of this password is easy to guess: the name of your school, a person or a service, repeated "
            "letters, or keys next to each other. Please add words that have nothing to do with you."
        )
    return None


def _left(password: str, about: Iterable[str]) -> int:
    """How many characters remain when all that can be guessed is taken out, in disguise (`5ch00l`) too."""
    plain = folded(password)
    words = _guessable((runtime.settings().service.name, *PRODUCT_WORDS, *about))
    return len(plain) - len(_guessed(plain, words) | _guessed(common.undisguised(plain), words))


def _guessed(text: str, words: set[str]) -> set[int]:
    """The positions in `text` that known words and runs cover, whatever signs stand between their letters."""
    letters = [at for at, char in enumerate(text) if char.isalnum()]
    bare = "".join(text[at] for at in letters)
    found = {at for run in common.runs(text) for at in run}
    for span in (*common.runs(bare), *(span for word in words for span in _occurrences(word, bare))):
        found.update(letters[at] for at in span)
    for at in range(1, len(text)):
        if at - 1 in found and not text[at].isalnum():
            found.add(at)  # a sign goes with what it follows: dots between letters hide nothing
    return found


def _occurrences(word: str, text: str) -> Iterator[range]:
    start = text.find(word)
    while start >= 0:
        yield range(start, start + len(word))
        start = text.find(word, start + 1)


def _guessable(about: Iterable[str]) -> set[str]:
    """Each word of 3 characters or more, and each phrase run together: `St Mary's` gives `marys`, `stmarys`."""
    found: set[str] = set()
    for phrase in about:
        words = re.findall(r"\w+", re.sub("['\u2019]", "", folded(phrase)))
        found.update(words, {"".join(words)})
    return {word for word in found if len(word) >= 3}


def folded(text: str) -> str:
    """`text` without case and accents, character by character, so that positions stay what they were."""
    return "".join((unicodedata.normalize("NFKD", char)[:1] or char).lower()[:1] or char for char in text)
