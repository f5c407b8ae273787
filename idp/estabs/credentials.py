"""Set passwords, and decide whether a chosen password is good enough (security.md §5).

A person's own password is hashed exactly as it was typed: not folded, trimmed or truncated. There are no rules about
digits and signs; what counts is how many characters remain once everything about the school and its people, and
every run of keys, has been taken out. `passphrases` generates the ones that we give out.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import update

from idp.audit import events, log
from idp.estabs import breached, common_passwords
from idp.estabs.models import Administrator
from idp.foundation import clock, runtime
from idp.foundation.crypto import MAX_PASSWORD_LENGTH
from idp.foundation.database import session

MIN_LENGTH = 12
MIN_UNGUESSABLE = 8
"""How many characters of a password must be neither part of a name nor of a run of keys."""

PRODUCT_WORDS = ("idaas", "xporter", "groupcall", "xporterondemand", "emerge")


def set_hash(person: Administrator, password_hash: str, *, by: str, is_generated: bool = False) -> None:
    """Store `password_hash`, which is calculated outside the transaction because hashing is slow.

    `is_generated` marks a passphrase that we generated: it is also accepted with spaces and capitals (`passphrases`).
    """
    person.password_hash, person.password_is_ours = password_hash, is_generated
    person.password_changed_at = person.updated_at = clock.now()
    log.record(events.PASSWORD_SET, by=by, estab=person.sole_estab_id, subject=person.id)


def replace_hash(person: Administrator, hashed: str, *, made_at: datetime | None) -> bool:
    """Replace the password set at `made_at` by a generated one, whose hash is `hashed`; False if it has changed."""
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
    """Public facts about a person and their school, which an attacker would try first."""
    candidates: list[str | None] = [*words_of(person.name, person.email), person.mobile, f"0{person.mobile[3:]}"]
    candidates.append(person.username)
    for membership in person.memberships:
        school = membership.estab.school
        candidates += [
            membership.estab.estab_id, school.name, school.town, school.postcode, school.register_id,
            school.dfe_number, school.former_dfe_number, school.ukprn, school.website_host,
        ]  # fmt: skip
    return tuple(word for word in candidates if word)


def words_of(name: str, email: str) -> tuple[str, ...]:
    """A person's name, and the parts of their e-mail address."""
    return name, *re.split(r"[@._+-]", email)


def rejection_reason(password: str, about: Iterable[str] = ()) -> str | None:
    """Why this password is refused, in a sentence for the person; None when it is good.

    `about` is what others know about the person: `words_about`, and the names of partners.
    """
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters. Several words together make a good password."
    if len(password) > MAX_PASSWORD_LENGTH:
        return f"Use at most {MAX_PASSWORD_LENGTH} characters."
    if common_passwords.is_common(password):
        return "Very many people use this password, so it would be tried first. Please choose another."
    if breached.is_breached(password):
        return (
            "This password has been stolen from another website and published, so it would be tried first. Please "
            "choose another. If you use it elsewhere, change it there too."
        )
    if _unguessable_length(password, about) < MIN_UNGUESSABLE:
        return (
            "Too much of this password is easy to guess: the name of your school, a person or a service, repeated "
            "letters, or keys next to each other. Please add words that have nothing to do with you."
        )
    return None


def _unguessable_length(password: str, about: Iterable[str]) -> int:
    """How many characters remain without everything guessable, also as leetspeak (`5ch00l`)."""
    lowered = fold(password)
    words = _guessable_words((runtime.settings().service.name, *PRODUCT_WORDS, *about))
    return len(lowered) - len(
        _guessable_positions(lowered, words) | _guessable_positions(common_passwords.undo_leetspeak(lowered), words)
    )


def _guessable_positions(text: str, words: set[str]) -> set[int]:
    """The positions in `text` that known words and runs cover, even with signs between their letters."""
    positions = [index for index, char in enumerate(text) if char.isalnum()]
    letters = "".join(text[index] for index in positions)
    guessed = {index for run in common_passwords.runs(text) for index in run}
    for span in (*common_passwords.runs(letters), *(span for word in words for span in _occurrences(word, letters))):
        guessed.update(positions[index] for index in span)
    for index in range(1, len(text)):
        if index - 1 in guessed and not text[index].isalnum():
            guessed.add(index)  # a sign counts with the character before it: dots between letters add no strength
    return guessed


def _occurrences(word: str, text: str) -> Iterator[range]:
    start = text.find(word)
    while start >= 0:
        yield range(start, start + len(word))
        start = text.find(word, start + 1)


def _guessable_words(about: Iterable[str]) -> set[str]:
    """Each word of 3 characters or more, and each phrase run together: `St Mary's` gives `marys`, `stmarys`."""
    words: set[str] = set()
    for phrase in about:
        parts = re.findall(r"\w+", re.sub("['\u2019]", "", fold(phrase)))
        words.update(parts, {"".join(parts)})
    return {word for word in words if len(word) >= 3}


def fold(text: str) -> str:
    """`text` in lower case without accents, character by character, so that positions are kept."""
    return "".join((unicodedata.normalize("NFKD", char)[:1] or char).lower()[:1] or char for char in text)
