"""Searching the register by name, town, postcode and number."""

import pytest
from sqlalchemy import event, select

from idp.foundation.database import db
from idp.foundation.errors import NotFound
from idp.schools import index, name_search, search, words
from idp.schools.models import RegisterImport, School, SearchWord, WordTrigram
from tests.factories import a_school


@pytest.fixture
def find(register, transaction):
    """`find("…")` is the names of the schools found."""

    def find_names(text, **options):
        with transaction():
            return [result.school.name for result in search.find(text, **options).results]

    return find_names


@pytest.mark.parametrize("typed", ["3124567", "312/4567", "312 4567", "312-4567"])
def test_a_dfe_number_finds_its_school(find, typed):
    assert find(typed) == ["Willow Bank Primary School"]


def test_a_dfe_number_is_padded(find):
    assert find("312/750") == ["Zero Lane Primary School"]


def test_a_number_that_two_schools_share_shows_the_open_one_first(find):
    assert find("312/9050") == ["Birch Green Academy", "Birch Green Primary School"]


def test_a_former_number_finds_its_school_after_the_one_that_has_it_now(find, transaction):
    assert find("909/9101") == ["Dove Meadow School"]
    with transaction():
        a_school(name="Holder Of The Number", dfe_number="9099101", register_id="999001", status_code="2")
    assert find("909/9101") == ["Holder Of The Number", "Dove Meadow School"]


@pytest.mark.parametrize(
    ("typed", "names"),
    [("900001", ["Willow Bank Primary School"]), ("90001", ["Marram Children's Centre"]), ("901999", [])],
)
def test_a_urn_finds_its_school(find, typed, names):
    assert find(typed) == names


def test_a_ukprn_finds_its_school(find):
    assert find("10900001") == ["Willow Bank Primary School"]


@pytest.mark.parametrize("typed", ["SW1P 4AU", "sw1p4au", "swip 4au"])
def test_a_postcode_finds_every_school_there(find, typed):
    assert find(typed) == ["Page Green Academy", "Page Green Primary School"]


@pytest.mark.parametrize("postcode", ["BFPO 57", "FIQQ 1ZZ", "GIR 0AA"])
def test_a_school_abroad_is_found_by_its_postcode(find, transaction, postcode):
    with transaction():
        key = postcode.replace(" ", "")
        a_school(register_id="999003", name="Cyprus School", postcode=postcode, postcode_key=key)

    for typed in (postcode, key.lower(), f"{postcode}.", f"Cyprus School, {postcode}"):
        assert find(typed) == ["Cyprus School"]


def test_words_typed_as_one_find_the_school(find, transaction):
    assert find("willowbank") == find("willow bank")
    assert "Willow Bank Primary School" in find("willowbank uxbridge")
    with transaction():
        assert search.find("willowbank").repaired == (("willowbank", "willow bank"),)


def test_the_beginning_of_a_postcode_finds_every_school_of_it(find):
    assert "Haytor Vale Primary School" in find("TQ13 0")
    assert find("TQ13 0") == find("TQ130") == find("tq1 30")
    assert "Teign Bridge Free School" in find("TQ1 3")
    assert "Teign Bridge Free School" not in find("TQ13 ")


def test_b78_finds_schools_of_the_district_b78_before_those_of_b7_8(register, transaction):
    def places(typed):
        schools = [result.school for result in search.find(typed, show=50).results]
        return [(school.standing, school.postcode[:4] != "B78 ") for school in schools]

    with transaction():
        assert places("B78") == sorted(places("B78"))
        assert {(0, False), (0, True)} <= set(places("B78"))
        assert {elsewhere for _, elsewhere in places("B78 ")} == {False}
        assert {elsewhere for _, elsewhere in places("B7 8")} == {True}


@pytest.mark.parametrize("typed", ["st josephs", "St. Joseph's", "saint joseph’s", "ST JOSEPHS", "josephs st"])
def test_st_josephs_is_found_however_it_is_written(find, typed):
    results = find(typed)

    assert len(results) == 6
    assert "St Joseph's Catholic Primary School" in results


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("st josephs leeds", "St Joseph's Catholic Primary School"),
        ("leeds joseph", "St Joseph's Catholic Primary School"),
        ("kings lea", "King's Lea School"),
        ("queen's mead pri", "Queens Mead Primary School"),
        ("st marys c of e leeds", "St Mary's Church of England Primary School"),
        ("smith and jonas", "Smith & Jonas Academy"),
        ("michael & all angels ce pri", "St Michael & All Angels C.E. Primary School"),
        ("voila", "Voilà Bilingual Primary School"),
        ("cote jardin", "Côté Jardin Nursery"),
        ("ash next ridge", "Ash-next-Ridge Primary School"),
        ("7 oaks", "7 Oaks Lane Primary School"),
        ("360", "360° Learning Centre"),
        ("o hara", "O'Hara Park Academy"),
        ("ohara", "O'Hara Park Academy"),
        ("little acorns", 'The "Little Acorns" Nursery School'),
        ("the little acorns", 'The "Little Acorns" Nursery School'),
        ("brambl", "Brambletye"),
        ("new start pru", "New Start Pupil Referral Unit"),
    ],
)
def test_a_name_is_found_as_people_type_it(find, typed, name):
    assert name in find(typed)


def test_the_beginning_of_a_word_finds_names_that_begin_with_it_or_with_its_long_form(find):
    results = find("st", show=100)

    assert any(name.startswith("St ") for name in results)
    assert any(name.startswith(("Studio", "Stud")) or "Studio" in name or "Start" in name for name in results)


def test_exact_words_come_before_beginnings(find):
    assert find("oak").index("Oak Hill School") < find("oak").index("Oakhill Primary School")


def test_names_that_begin_with_what_was_typed_come_first(find, transaction):
    with transaction():
        ours = a_school(
            register_id="999002", name="Aldermary and St Joseph's School", name_key="aldermary and saint josephs school"
        )
        index.add({ours.id: {"aldermary", "and", "saint", "josephs", "school"}}, index.load())
        index.refresh_counts()

    results = find("st josephs")

    assert results[-1] == "Aldermary and St Joseph's School"
    assert len(results) == 7


def test_open_schools_are_listed_before_proposed_and_closed_ones(find, transaction):
    with transaction():
        standings = [result.school.standing for result in search.find("school", show=200).results]

    assert standings == sorted(standings)
    assert set(standings) == {0, 1, 2}


def test_equal_names_have_a_fixed_order(find):
    assert find("meadowside") == ["Meadowside Primary School"] * 2
    assert find("primary school", show=50) == find("primary school", show=50)


@pytest.mark.parametrize(
    ("typed", "repaired"),
    [
        ("wilow bank", ("wilow", "willow")),
        ("willow bnak", ("bnak", "bank")),
        ("hilligdon", None),
        ("voila bilingaul", ("bilingaul", "bilingual")),
        ("brambeltye", ("brambeltye", "brambletye")),
    ],
)
def test_a_misspelt_word_is_replaced_by_the_nearest_and_the_result_names_both(register, transaction, typed, repaired):
    with transaction():
        result = search.find(typed)

        assert result.repaired == ((repaired,) if repaired else ())
        assert bool(result.results) is bool(repaired)


def test_an_unknown_word_without_a_similar_one_is_dropped_and_mentioned(register, transaction):
    with transaction():
        response = search.find("xylophonique willow bank")

        assert [result.school.name for result in response.results] == ["Willow Bank Primary School"]
        assert response.dropped == ("xylophonique",)


def test_if_no_school_has_all_words_the_last_is_dropped_and_named(register, transaction):
    with transaction():
        response = search.find("willow bank leeds")

        assert [result.school.name for result in response.results] == ["Willow Bank Primary School"]
        assert response.dropped == ("leeds",)


def test_a_search_without_results_says_how_it_was_read(register, transaction):
    with transaction():
        result = search.find("999/9999")

        assert (result.results, result.more) == ((), False)
        assert result.reading.description == "the DfE number 999/9999"


def test_an_unknown_postcode_is_searched_for_as_a_name(find, transaction):
    assert find("b99") == []
    with transaction():
        index.add({a_school(name="B99 Learning", register_id="999001").id: {"b99", "learning"}}, index.load())
        index.refresh_counts()
    assert find("b99") == ["B99 Learning"]


def test_a_search_returns_twenty_schools_or_as_many_as_are_asked_for(register, transaction):
    with transaction():
        first, more = search.find("school"), search.find("school", show=40)

        assert (len(first.results), first.more) == (20, True)
        assert len(more.results) == 40
        assert [result.school.id for result in more.results[:20]] == [result.school.id for result in first.results]
        assert len(search.find("school", show=10**9).results) <= search.MAX_RESULTS


def test_a_school_with_an_id_that_does_not_exist_is_not_found(register, transaction):
    with transaction():
        (willow,) = search.find("900001").results
        assert search.school(willow.school.id) is willow.school
        for number in (0, -1, 10**30, 999_999):
            with pytest.raises(NotFound):
                search.school(number)
        for text in ("0", "-1", "9" * 30, "9" * 5000, "x", ""):
            with pytest.raises(ValueError, match=r"range|int"):
                search.parse_id(text)


def test_the_date_of_the_register_is_returned(register, transaction):
    with transaction() as database:
        assert search.register_date() == database.scalars(select(RegisterImport)).one().dated


def test_both_ways_of_searching_for_common_words_find_the_same_schools(register, transaction, monkeypatch):
    texts = ("school", "st", "primary sc", "st m", "hi", "academy", "s")
    with transaction():
        by_sorting = [[result.school.id for result in search.find(text).results] for text in texts]
        monkeypatch.setattr(name_search, "MANY_SCHOOLS", 0)
        by_walking = [[result.school.id for result in search.find(text).results] for text in texts]

    assert by_walking == by_sorting


def add_words(database, schools_of):
    for word, schools in schools_of.items():
        row = SearchWord(word=word, schools=schools)
        database.add(row)
        database.flush()
        database.add_all(WordTrigram(trigram=part, word_id=row.id) for part in words.trigrams(word))
    database.flush()


def test_of_equally_similar_words_the_most_common_is_taken(register, transaction):
    """The rarer word shares more trigrams with the typed one."""
    with transaction() as database:
        add_words(database, {"oakhullq": 1, "oazhullw": 3})
        assert len(words.trigrams("oakhullw") & words.trigrams("oakhullq")) > len(
            words.trigrams("oakhullw") & words.trigrams("oazhullw")
        )
        nearest = name_search._nearest("oakhullw")
        assert nearest is not None
        assert nearest.word == "oazhullw"


def test_a_more_similar_word_is_preferred_to_a_more_common_one(register, transaction):
    with transaction() as database:
        add_words(database, {"oakhullq": 1, "oakhuqqw": 3})
        nearest = name_search._nearest("oakhullw")
        assert nearest is not None
        assert nearest.word == "oakhullq"


@pytest.mark.parametrize("typed", ["school", "st josephs leeds", "312/4567", "B78", "wilow bnak", "birch green"])
def test_a_page_of_results_takes_few_queries_however_long_it_is(register, transaction, record_statements, typed):
    with transaction(), record_statements() as statements:
        search.find(typed, show=200)

    assert len(statements) <= 9


@pytest.mark.parametrize(
    "typed", ["900001", "312/4567", "10900001", "SW1P 4AU", "B78", "willow bank", "st jo", "wilow"]
)
def test_no_search_reads_every_school(register, transaction, typed):
    with transaction() as database:
        if database.get_bind().dialect.name != "sqlite":
            pytest.skip("PostgreSQL rightly reads a small table from end to end")
        statements = []
        event.listen(db.engine, "before_cursor_execute", listener := lambda *args: statements.append(args[2:4]))
        try:
            search.find(typed)
        finally:
            event.remove(db.engine, "before_cursor_execute", listener)
        plans = [
            step[3]
            for statement, values in statements
            for step in database.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]

    assert not [step for step in plans if step in {"SCAN schools", "SCAN school_words", "SCAN search_words"}], plans


def test_no_head_teacher_is_ever_searched(find, sample):
    for row in sample[:20]:
        assert not [name for name in find(row["HeadLastName"]) if name == row["EstablishmentName"]]


def test_a_school_that_left_the_register_is_not_found(transaction, clock):
    with transaction() as database:
        gone = a_school(left_register_on=clock.now().date())
        database.flush()

        assert search.find(gone.register_id).results == ()
        assert database.get(School, gone.id) is gone
