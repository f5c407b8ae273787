"""Find schools by words of their name and town: all words, in any order, the last perhaps unfinished.

A word that nobody has becomes its nearest; failing that it is left out, and the answer says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace as but
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select

from idp.foundation.database import session
from idp.schools import words
from idp.schools.models import School, SchoolWord, SearchWord, WordTrigram

MOST_WORDS: Final = 12
"""Words that are looked at; no school has more that matter."""
CANDIDATES: Final = 80
"""Words, nearest by trigrams, whose distance is looked at."""
_END: Final = "~"
"""Sorts after every letter and digit, so `word` to `word~` is all that begins with `word`."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the index, and how many schools have it."""

    id: int
    word: str
    schools: int


@dataclass(frozen=True, slots=True)
class Query:
    """What is sought: schools with all of `head`, and either all of `tail` or a word that begins with `unfinished`.

    `repaired` and `dropped` say what was done to what was typed.
    """

    head: tuple[Word, ...]
    tail: tuple[Word, ...] = ()
    unfinished: str = ""
    beginning: int = 0
    """How many schools, at most, have a word that begins with `unfinished`."""
    repaired: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The schools, in order, and the query that found them."""

    schools: tuple[School, ...]
    query: Query


def find(text: str, limit: int) -> Match:
    """The first `limit` schools with the words of `text`."""
    query = _understood(text)
    schools = _schools(query, limit)
    if not schools:
        for fewer in _fewer(query):
            if schools := _schools(fewer, limit):
                return Match(schools, fewer)
    return Match(schools, query)


def _understood(text: str) -> Query:
    """Look the words up; mend or drop those that nobody has."""
    typed = words.plain(text).split()[:MOST_WORDS]
    head, whole = words.fold(" ".join(typed[:-1])).split(), words.fold(" ".join(typed)).split()
    if whole[: len(head)] == head:
        tail, unfinished = whole[len(head) :], typed[-1]
    else:  # "c of" and "c of e": the last word has changed the ones before
        head, tail, unfinished = whole, [], ""
    known = _known({*head, *tail})
    beginning = _beginning(unfinished) if tail else 0
    query = Query((), tuple(known[word] for word in tail if word in known), unfinished, beginning)
    if len(query.tail) < len(tail):
        query = but(query, tail=()) if beginning else _mended(query, unfinished)
    for word in dict.fromkeys(head):
        query = but(query, head=(*query.head, known[word])) if word in known else _mended(query, word)
    return query if beginning else but(query, unfinished="", head=(*query.head, *query.tail), tail=())


def _mended(query: Query, word: str) -> Query:
    """`query` with the nearest to `word`, or with a note that it was dropped."""
    nearest = _nearest(word)
    if nearest is None:
        return but(query, tail=() if word == query.unfinished else query.tail, dropped=(*query.dropped, word))
    return but(query, head=(*query.head, nearest), repaired=(*query.repaired, (word, nearest.word)))


def _known(sought: Iterable[str]) -> dict[str, Word]:
    rows = session().execute(
        select(SearchWord.id, SearchWord.word, SearchWord.schools).where(SearchWord.word.in_(sorted(sought)))
    )
    return {row.word: Word(*row) for row in rows}


def _beginning(prefix: str) -> int:
    return session().scalar(select(func.coalesce(func.sum(SearchWord.schools), 0)).where(_begins(prefix))) or 0


def _begins(prefix: str) -> ColumnElement[bool]:
    return SearchWord.word.between(prefix, prefix + _END)


def _nearest(word: str) -> Word | None:
    """The word fewest slips away, and of those the one most schools have; None beyond what we forgive."""
    allowed = words.edits_allowed(word)
    if not allowed:
        return None
    shared = func.count()
    alike = (
        select(SearchWord.id, SearchWord.word, SearchWord.schools)
        .join(WordTrigram, WordTrigram.word_id == SearchWord.id)
        .where(WordTrigram.trigram.in_(sorted(words.trigrams(word))))
        .where(func.length(SearchWord.word).between(len(word) - allowed, len(word) + allowed))
        .group_by(SearchWord.id, SearchWord.word, SearchWord.schools)
        .order_by(shared.desc(), SearchWord.schools.desc())
        .limit(CANDIDATES)
    )
    near = [
        (far, -row.schools, Word(*row))
        for row in session().execute(alike)
        if (far := words.distance(word, row.word, allowed)) <= allowed
    ]
    return min(near, key=lambda one: one[:2])[2] if near else None


def _schools(query: Query, limit: int) -> tuple[School, ...]:
    if not (query.head or query.tail or query.unfinished):
        return ()
    return tuple(session().scalars(_selected(query).limit(limit)))


def _selected(query: Query) -> Select[School]:
    """The rarest condition leads, because its schools are then all that the others are tried on."""
    rarest = min((word.schools for word in query.head), default=None)
    last_leads = bool(query.unfinished) and (rarest is None or query.beginning < rarest)
    found = select(School).where(School.left_register_on.is_(None))
    led = last_leads
    for word in sorted(query.head, key=lambda word: word.schools):
        found = found.where(_has(word) if led else School.id.in_(_with(word)))
        led = True
    rank: ColumnElement[int] = literal(0)
    if query.unfinished:
        ends = select(SearchWord.id).where(or_(_begins(query.unfinished), SearchWord.id.in_(_ids(query.tail[:1]))))
        having = select(SchoolWord.school_id).where(SchoolWord.word_id.in_(ends))
        one_of = exists(having.where(SchoolWord.school_id == School.id).correlate(School))
        found = found.where(School.id.in_(having) if last_leads else one_of)
        exact = and_(literal(bool(query.tail)), *map(_has, query.tail))
        rank = case((exact, 0), else_=1)
        if len(query.tail) > 1:
            begun = having.where(SchoolWord.school_id == School.id).correlate(School)
            found = found.where(or_(exact, exists(begun)))
    return found.order_by(School.standing, rank, School.name_key, School.id)


def _with(word: Word) -> Select[int]:
    return select(SchoolWord.school_id).where(SchoolWord.word_id == word.id)


def _has(word: Word) -> ColumnElement[bool]:
    return exists(_with(word).where(SchoolWord.school_id == School.id).correlate(School))


def _ids(some: Sequence[Word]) -> list[int]:
    return [word.id for word in some]


def _fewer(query: Query) -> Iterable[Query]:
    """The query without one word, the last first: a name comes before its town."""
    if query.head and query.unfinished:
        yield but(query, tail=(), unfinished="", dropped=(*query.dropped, query.unfinished))
    if len(query.head) + bool(query.unfinished) > 1:
        for at in range(len(query.head) - 1, -1, -1):
            dropped = (*query.dropped, query.head[at].word)
            yield but(query, head=query.head[:at] + query.head[at + 1 :], dropped=dropped)
