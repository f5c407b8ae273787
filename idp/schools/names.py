"""Find schools by words of their name and town: all words, in any order, the last perhaps unfinished.

A word that nobody has becomes its nearest; failing that it is left out, and the answer says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace as but
from math import prod
from typing import Final

from rapidfuzz.distance import OSA
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, not_, or_, select

from idp.foundation.database import session
from idp.schools import words
from idp.schools.models import School, SchoolWord, SearchWord, WordTrigram, begins_with

MOST_WORDS: Final = 12
"""Words that are looked at; no school has more that matter."""
CANDIDATES: Final = 80
"""Words, nearest by trigrams, whose distance is looked at."""
REGISTER: Final = 52_000
"""Schools of the register, near enough for a guess."""
MANY: Final = 1500
"""From so many expected schools on, walking through all of them in order is quicker than sorting those found."""


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
    start: str = ""
    """All of it as it would stand at the beginning of a name: schools called so come first."""
    repaired: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The schools, in order, and the query that found them."""

    schools: Sequence[School]
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
    mended = dict(query.repaired)
    query = but(query, start=" ".join(mended.get(word, word) for word in whole if word not in query.dropped))
    return query if beginning else but(query, unfinished="", head=(*query.head, *query.tail), tail=())


def _mended(query: Query, word: str) -> Query:
    """`query` with the two words that `word` is, or the nearest to it, or with a note that it was dropped."""
    if two := _parted(word):
        return but(query, head=(*query.head, *two), repaired=(*query.repaired, (word, f"{two[0].word} {two[1].word}")))
    nearest = _nearest(word)
    if nearest is None:
        return but(query, tail=() if word == query.unfinished else query.tail, dropped=(*query.dropped, word))
    return but(query, head=(*query.head, nearest), repaired=(*query.repaired, (word, nearest.word)))


def _parted(word: str) -> tuple[Word, Word] | None:
    """The two words that were typed as one ("willowbank") where some school has both; None otherwise."""
    halves = [(words.fold(word[:cut]), words.fold(word[cut:])) for cut in range(2, len(word) - 2)]
    known = _known({half for pair in halves for half in pair})
    pairs = [(known[one], known[other]) for one, other in halves if one in known and other in known]
    for one, other in sorted(pairs, key=lambda pair: -min(each.schools for each in pair)):
        together = select(School.id).where(School.left_register_on.is_(None), _has(one), School.id.in_(_with(other)))
        if session().scalar(together.limit(1)) is not None:
            return one, other
    return None


def _known(sought: Iterable[str]) -> dict[str, Word]:
    rows = session().execute(
        select(SearchWord.id, SearchWord.word, SearchWord.schools).where(SearchWord.word.in_(sorted(sought)))
    )
    return {row.word: Word(*row) for row in rows}


def _beginning(prefix: str) -> int:
    total = select(func.coalesce(func.sum(SearchWord.schools), 0)).where(begins_with(SearchWord.word, prefix))
    return session().scalar(total) or 0


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
        if (far := OSA.distance(word, row.word, score_cutoff=allowed)) <= allowed
    ]
    return min(near, key=lambda one: one[:2])[2] if near else None


def _schools(query: Query, limit: int) -> Sequence[School]:
    """The first schools, in order.

    Open before proposed before closed; then those with all words whole; then those whose name begins with
    what was typed; then by name.
    """
    if not (query.head or query.tail or query.unfinished):
        return ()
    whole = (*query.head, *query.tail)
    if query.tail and _expected(*(word.schools for word in whole)) >= MANY:
        found = _walked(but(query, head=whole, tail=(), unfinished=""), limit)
    elif not query.tail and _expected(*(word.schools for word in query.head), query.beginning) >= MANY:
        found = _walked(query, limit)
    else:
        found = []
    return found if len(found) == limit else session().scalars(_sorted(query).limit(limit)).all()


def _expected(*schools: int) -> float:
    """How many schools have words that so many have, if words keep no company."""
    return REGISTER * prod(min(many / REGISTER, 1.0) for many in schools if many)


def _walked(query: Query, limit: int) -> list[School]:
    """Go through the open schools in order and stop at the last one wanted: for words that many schools have.

    As long as `limit` only where there are so many open ones, and none of the others can come before them.
    """
    found = _offered().where(School.standing == 0, *map(_has, query.head)).order_by(School.name_key, School.id)
    if query.unfinished:
        found = found.where(_has_one(_ending(query.unfinished)))
    first = begins_with(School.name_key, query.start)
    schools = list(session().scalars(found.where(first).limit(limit)))
    if len(schools) < limit:
        schools += session().scalars(found.where(not_(first)).limit(limit - len(schools)))
    return schools


def _sorted(query: Query) -> Select[School]:
    """Find all schools and sort them; the rarest condition leads, its schools being all that others are tried on."""
    rarest_first = sorted(query.head, key=lambda word: word.schools)
    last_leads = bool(query.unfinished) and (not rarest_first or query.beginning < rarest_first[0].schools)
    found, led = _offered(), last_leads
    for word in rarest_first:
        found = found.where(_has(word) if led else School.id.in_(_with(word)))
        led = True
    first = case((begins_with(School.name_key, query.start), 0), else_=1)
    if not query.unfinished:
        return found.order_by(School.standing, first, School.name_key, School.id)
    ending = _ending(query.unfinished, *query.tail[:1])
    leading = School.id.in_(select(SchoolWord.school_id).where(SchoolWord.word_id.in_(ending)))
    found = found.where(leading if last_leads else _has_one(ending))
    exact = and_(literal(bool(query.tail)), *map(_has, query.tail))
    if len(query.tail) > 1:
        found = found.where(or_(exact, _has_one(_ending(query.unfinished))))
    return found.order_by(School.standing, case((exact, 0), else_=1), first, School.name_key, School.id)


def _offered() -> Select[School]:
    return select(School).where(School.left_register_on.is_(None))


def _ending(unfinished: str, *or_these: Word) -> Select[int]:
    """The words that begin with `unfinished`, and these."""
    begins = begins_with(SearchWord.word, unfinished)
    return select(SearchWord.id).where(or_(begins, SearchWord.id.in_([word.id for word in or_these])))


def _has_one(of_words: Select[int]) -> ColumnElement[bool]:
    """Look through the few words of each school; "+ 0" keeps SQLite from trying each of `of_words` on it instead."""
    return _tried(select(SchoolWord.school_id).where((SchoolWord.word_id + 0).in_(of_words)))


def _has(word: Word) -> ColumnElement[bool]:
    return _tried(_with(word))


def _tried(schools: Select[int]) -> ColumnElement[bool]:
    """Whether the school is among `schools`, asked of each in turn.

    "OFFSET 0" keeps PostgreSQL from making a join of it: it cannot know how common a word is, and goes wrong.
    """
    return exists(schools.where(SchoolWord.school_id == School.id).correlate(School).offset(0))


def _with(word: Word) -> Select[int]:
    return select(SchoolWord.school_id).where(SchoolWord.word_id == word.id)


def _fewer(query: Query) -> Iterable[Query]:
    """The query without one word, the last first: a name comes before its town."""
    if query.head and query.unfinished:
        start = " ".join(word.word for word in query.head)
        yield but(query, tail=(), unfinished="", start=start, dropped=(*query.dropped, query.unfinished))
    if len(query.head) + bool(query.unfinished) > 1:
        for at in range(len(query.head) - 1, -1, -1):
            word, rest = query.head[at].word, query.head[:at] + query.head[at + 1 :]
            start = " ".join(other for other in query.start.split() if other != word)
            yield but(query, head=rest, start=start, dropped=(*query.dropped, word))
