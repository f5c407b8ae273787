"""Find schools by words of their name and town: all words, in any order; the last may be unfinished.

A word that no school has is replaced by the nearest one, or else left out; the result contains what was changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from rapidfuzz.distance import OSA
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, not_, or_, select

from idp.foundation.database import session
from idp.schools import words
from idp.schools.models import School, SchoolWord, SearchWord, WordTrigram, begins_with

MAX_WORDS: Final = 12
"""Words of the input that are used."""
MAX_CANDIDATES: Final = 80
"""Words, nearest by trigrams, whose edit distance is calculated."""
REGISTER_SIZE: Final = 52_000
"""Approximate number of schools in the register, for estimates."""
MANY_SCHOOLS: Final = 1500
"""If more matches are expected, scanning all schools in order is faster than sorting the matches."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the index, and how many schools have it."""

    id: int
    word: str
    schools: int


@dataclass(frozen=True, slots=True)
class NameQuery:
    """A search for schools with all of `head`, and either all of `tail` or a word that begins with `unfinished`.

    `repaired` and `dropped` are the words of the input that were replaced or left out.
    """

    head: tuple[Word, ...]
    tail: tuple[Word, ...] = ()
    unfinished: str = ""
    beginning: int = 0
    """How many schools, at most, have a word that begins with `unfinished`."""
    start: str = ""
    """The words in the order typed: schools whose name begins with them come first."""
    repaired: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The schools, in order, and the query that found them."""

    schools: Sequence[School]
    query: NameQuery


def find(text: str, limit: int) -> Match:
    """The first `limit` schools with the words of `text`."""
    query = _parse(text)
    schools = _schools(query, limit)
    if not schools:
        for fewer in _queries_with_fewer_words(query):
            if schools := _schools(fewer, limit):
                return Match(schools, fewer)
    return Match(schools, query)


def _parse(text: str) -> NameQuery:
    """Look the words up; replace or drop those that no school has."""
    typed_words = words.normalise(text).split()[:MAX_WORDS]
    head, all_words = words.fold(" ".join(typed_words[:-1])).split(), words.fold(" ".join(typed_words)).split()
    if all_words[: len(head)] == head:
        tail, unfinished = all_words[len(head) :], typed_words[-1]
    else:  # "c of" and "c of e": the last word has changed the ones before
        head, tail, unfinished = all_words, [], ""
    words_by_text = _look_up({*head, *tail})
    beginning = _count_beginning_with(unfinished) if tail else 0
    query = NameQuery((), tuple(words_by_text[word] for word in tail if word in words_by_text), unfinished, beginning)
    if len(query.tail) < len(tail):
        query = replace(query, tail=()) if beginning else _repair(query, unfinished)
    for word in dict.fromkeys(head):
        query = (
            replace(query, head=(*query.head, words_by_text[word])) if word in words_by_text else _repair(query, word)
        )
    replacements = dict(query.repaired)
    query = replace(
        query, start=" ".join(replacements.get(word, word) for word in all_words if word not in query.dropped)
    )
    return query if beginning else replace(query, unfinished="", head=(*query.head, *query.tail), tail=())


def _repair(query: NameQuery, word: str) -> NameQuery:
    """`query` with `word` replaced by two words or by the nearest one; otherwise with `word` added to `dropped`."""
    if two := _split_in_two(word):
        return replace(
            query, head=(*query.head, *two), repaired=(*query.repaired, (word, f"{two[0].word} {two[1].word}"))
        )
    nearest = _nearest(word)
    if nearest is None:
        return replace(query, tail=() if word == query.unfinished else query.tail, dropped=(*query.dropped, word))
    return replace(query, head=(*query.head, nearest), repaired=(*query.repaired, (word, nearest.word)))


def _split_in_two(word: str) -> tuple[Word, Word] | None:
    """The two words that were typed as one ("willowbank") if a school has both; None otherwise."""
    halves = [(words.fold(word[:cut]), words.fold(word[cut:])) for cut in range(2, len(word) - 2)]
    words_by_text = _look_up({half for pair in halves for half in pair})
    pairs = [
        (words_by_text[first], words_by_text[second])
        for first, second in halves
        if first in words_by_text and second in words_by_text
    ]
    for first, second in sorted(pairs, key=lambda pair: -min(part.schools for part in pair)):
        statement = select(School.id).where(
            School.left_register_on.is_(None), _has(first), School.id.in_(_ids_of_schools_with(second))
        )
        if session().scalar(statement.limit(1)) is not None:
            return first, second
    return None


def _look_up(sought: Iterable[str]) -> dict[str, Word]:
    rows = session().execute(
        select(SearchWord.id, SearchWord.word, SearchWord.schools).where(SearchWord.word.in_(sorted(sought)))
    )
    return {row.word: Word(*row) for row in rows}


def _count_beginning_with(prefix: str) -> int:
    total = select(func.coalesce(func.sum(SearchWord.schools), 0)).where(begins_with(SearchWord.word, prefix))
    return session().scalar(total) or 0


def _nearest(word: str) -> Word | None:
    """The word with the fewest edits, and of those the most common; None if more edits than allowed are needed."""
    allowed = words.max_edits(word)
    if not allowed:
        return None
    shared = func.count()
    statement = (
        select(SearchWord.id, SearchWord.word, SearchWord.schools)
        .join(WordTrigram, WordTrigram.word_id == SearchWord.id)
        .where(WordTrigram.trigram.in_(sorted(words.trigrams(word))))
        .where(func.length(SearchWord.word).between(len(word) - allowed, len(word) + allowed))
        .group_by(SearchWord.id, SearchWord.word, SearchWord.schools)
        .order_by(shared.desc(), SearchWord.schools.desc())
        .limit(MAX_CANDIDATES)
    )
    candidates = [
        (edits, -row.schools, Word(*row))
        for row in session().execute(statement)
        if (edits := OSA.distance(word, row.word, score_cutoff=allowed)) <= allowed
    ]
    return min(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


def _schools(query: NameQuery, limit: int) -> Sequence[School]:
    """The first schools, in order.

    Open before proposed before closed; then those with all words whole; then those whose name begins with
    what was typed; then by name.
    """
    if not (query.head or query.tail or query.unfinished):
        return ()
    whole = (*query.head, *query.tail)
    if query.tail and _expected(*(word.schools for word in whole)) >= MANY_SCHOOLS:
        schools = _scan_in_order(replace(query, head=whole, tail=(), unfinished=""), limit)
    elif not query.tail and _expected(*(word.schools for word in query.head), query.beginning) >= MANY_SCHOOLS:
        schools = _scan_in_order(query, limit)
    else:
        schools = []
    return schools if len(schools) == limit else session().scalars(_sort_matches(query).limit(limit)).all()


def _expected(*schools: int) -> float:
    """Expected number of schools with all of several words, if each is in this many and words were independent."""
    return REGISTER_SIZE * prod(min(number / REGISTER_SIZE, 1.0) for number in schools if number)


def _scan_in_order(query: NameQuery, limit: int) -> list[School]:
    """Scan the open schools in order and stop at `limit`: for words that many schools have.

    Returns `limit` schools only if so many open ones match; then no other school can precede them.
    """
    matches = _in_register().where(School.standing == 0, *map(_has, query.head)).order_by(School.name_key, School.id)
    if query.unfinished:
        matches = matches.where(_has_any_of(_words_beginning_with(query.unfinished)))
    name_begins = begins_with(School.name_key, query.start)
    schools = list(session().scalars(matches.where(name_begins).limit(limit)))
    if len(schools) < limit:
        schools += session().scalars(matches.where(not_(name_begins)).limit(limit - len(schools)))
    return schools


def _sort_matches(query: NameQuery) -> Select[School]:
    """Find all matches and sort them. The rarest word selects schools; the other words are checked on each of these."""
    rarest_first = sorted(query.head, key=lambda word: word.schools)
    unfinished_is_rarest = bool(query.unfinished) and (not rarest_first or query.beginning < rarest_first[0].schools)
    matches, is_selective = _in_register(), unfinished_is_rarest
    for word in rarest_first:
        matches = matches.where(_has(word) if is_selective else School.id.in_(_ids_of_schools_with(word)))
        is_selective = True
    name_begins = case((begins_with(School.name_key, query.start), 0), else_=1)
    if not query.unfinished:
        return matches.order_by(School.standing, name_begins, School.name_key, School.id)
    last_words = _words_beginning_with(query.unfinished, *query.tail[:1])
    selected = School.id.in_(select(SchoolWord.school_id).where(SchoolWord.word_id.in_(last_words)))
    matches = matches.where(selected if unfinished_is_rarest else _has_any_of(last_words))
    exact = and_(literal(bool(query.tail)), *map(_has, query.tail))
    if len(query.tail) > 1:
        matches = matches.where(or_(exact, _has_any_of(_words_beginning_with(query.unfinished))))
    return matches.order_by(School.standing, case((exact, 0), else_=1), name_begins, School.name_key, School.id)


def _in_register() -> Select[School]:
    return select(School).where(School.left_register_on.is_(None))


def _words_beginning_with(unfinished: str, *further: Word) -> Select[int]:
    """The ids of the words that begin with `unfinished`, and of the `further` ones."""
    begins = begins_with(SearchWord.word, unfinished)
    return select(SearchWord.id).where(or_(begins, SearchWord.id.in_([word.id for word in further])))


def _has_any_of(word_ids: Select[int]) -> ColumnElement[bool]:
    """Whether the school has one of these words; "+ 0" makes SQLite look up the school's few words, not `word_ids`."""
    return _correlated(select(SchoolWord.school_id).where((SchoolWord.word_id + 0).in_(word_ids)))


def _has(word: Word) -> ColumnElement[bool]:
    return _correlated(_ids_of_schools_with(word))


def _correlated(schools: Select[int]) -> ColumnElement[bool]:
    """Whether the school is among `schools`, as a correlated subquery.

    "OFFSET 0" keeps PostgreSQL from turning it into a join, which is slow because the planner misjudges common words.
    """
    return exists(schools.where(SchoolWord.school_id == School.id).correlate(School).offset(0))


def _ids_of_schools_with(word: Word) -> Select[int]:
    return select(SchoolWord.school_id).where(SchoolWord.word_id == word.id)


def _queries_with_fewer_words(query: NameQuery) -> Iterable[NameQuery]:
    """`query` without one of its words: first without the last, because people type the name before the town."""
    if query.head and query.unfinished:
        start = " ".join(word.word for word in query.head)
        yield replace(query, tail=(), unfinished="", start=start, dropped=(*query.dropped, query.unfinished))
    if len(query.head) + bool(query.unfinished) > 1:
        for index in range(len(query.head) - 1, -1, -1):
            word, remaining = query.head[index].word, query.head[:index] + query.head[index + 1 :]
            start = " ".join(start_word for start_word in query.start.split() if start_word != word)
            yield replace(query, head=remaining, start=start, dropped=(*query.dropped, word))
