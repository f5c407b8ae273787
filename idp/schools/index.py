"""The words schools are searched by: kept in step with the register by the import.

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
    """What a school is found by; `name_key` is its name, folded."""
    return {*name_key.split(), *words.fold(town).split()}


def load() -> dict[str, int]:
    """Every word's id; `add` keeps it up to date."""
    return {word: number for number, word in session().execute(select(WORDS.c.id, WORDS.c.word))}


def add(schools: Mapping[int, set[str]], known: dict[str, int]) -> None:
    """Note the words of schools that have none noted."""
    _learn({word for its in schools.values() for word in its if word not in known}, known)
    pairs = sorted((known[word], school) for school, its in schools.items() for word in its)
    bulk.add(SCHOOL_WORDS, ("word_id", "school_id"), pairs)


def replace(schools: Mapping[int, set[str]], known: dict[str, int]) -> None:
    """Note the words of schools anew."""
    session().execute(delete(SCHOOL_WORDS).where(SCHOOL_WORDS.c.school_id.in_(list(schools))))
    add(schools, known)


def _learn(new: Iterable[str], known: dict[str, int]) -> None:
    """Give new words their ids and trigrams."""
    rows = [{"word": word, "schools": 0} for word in sorted(new)]
    if not rows:
        return
    made = session().execute(insert(WORDS).returning(WORDS.c.id, WORDS.c.word), rows).all()
    known.update((word, number) for number, word in made)
    bulk.add(TRIGRAMS, ("trigram", "word_id"), [(part, id_) for id_, word in made for part in words.trigrams(word)])


def settle() -> None:
    """Count each word's schools and forget words that have none left."""
    count = select(func.count()).where(SCHOOL_WORDS.c.word_id == WORDS.c.id).correlate(WORDS).scalar_subquery()
    session().execute(update(WORDS).where(WORDS.c.schools != count).values(schools=count))
    gone = select(WORDS.c.id).where(WORDS.c.schools == 0)
    session().execute(delete(TRIGRAMS).where(TRIGRAMS.c.word_id.in_(gone)))
    session().execute(delete(WORDS).where(WORDS.c.schools == 0))
