"""The search index of schools' words, updated by the import.

Three tables: the distinct words, which schools have which, and the trigrams of the words.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Table, delete, func, insert, select, update

from idp.foundation.database import session
from idp.schools import bulk, words
from idp.schools.models import SchoolWord, SearchWord, WordTrigram

WORDS: Table = SearchWord.__table__  # type: ignore[assignment]
SCHOOL_WORDS: Table = SchoolWord.__table__  # type: ignore[assignment]
TRIGRAMS: Table = WordTrigram.__table__  # type: ignore[assignment]


def words_of(name_key: str, town: str) -> set[str]:
    """The words by which a school is found; `name_key` is its folded name."""
    return {*name_key.split(), *words.fold(town).split()}


def load() -> dict[str, int]:
    """The id of every word; `add` updates this mapping."""
    return {word: number for number, word in session().execute(select(WORDS.c.id, WORDS.c.word))}


def add(schools: Mapping[int, set[str]], word_ids: dict[str, int]) -> None:
    """Index schools that are not in the index yet."""
    _add_words({word for school_words in schools.values() for word in school_words if word not in word_ids}, word_ids)
    pairs = sorted((word_ids[word], school) for school, school_words in schools.items() for word in school_words)
    bulk.add(SCHOOL_WORDS, ("word_id", "school_id"), pairs)


def replace(schools: Mapping[int, set[str]], word_ids: dict[str, int]) -> None:
    """Index schools again after a change."""
    session().execute(delete(SCHOOL_WORDS).where(SCHOOL_WORDS.c.school_id.in_(list(schools))))
    add(schools, word_ids)


def _add_words(new_words: Iterable[str], word_ids: dict[str, int]) -> None:
    """Insert new words and their trigrams."""
    rows = [{"word": word, "schools": 0} for word in sorted(new_words)]
    if not rows:
        return
    inserted = session().execute(insert(WORDS).returning(WORDS.c.id, WORDS.c.word), rows).all()
    word_ids.update((word, number) for number, word in inserted)
    bulk.add(TRIGRAMS, ("trigram", "word_id"), [(part, id_) for id_, word in inserted for part in words.trigrams(word)])


def refresh_counts() -> None:
    """Count each word's schools, and delete words without any."""
    count = select(func.count()).where(SCHOOL_WORDS.c.word_id == WORDS.c.id).correlate(WORDS).scalar_subquery()
    session().execute(update(WORDS).where(WORDS.c.schools != count).values(schools=count))
    unused = select(WORDS.c.id).where(WORDS.c.schools == 0)
    session().execute(delete(TRIGRAMS).where(TRIGRAMS.c.word_id.in_(unused)))
    session().execute(delete(WORDS).where(WORDS.c.schools == 0))
