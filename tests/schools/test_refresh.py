"""Importing the register: new, changed and missing schools."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import delete, func, select, text

from idp.audit.models import Entry
from idp.foundation.database import session
from idp.schools import files, imports, index, refresh, search
from idp.schools.models import RegisterImport, School, SchoolChange, SchoolLink, SchoolWord, SearchWord, WordTrigram
from tests.schools.conftest import SAMPLE, SAMPLE_LINKS, csv_of, refused, rows_of

WILLOW_BANK, BIRCH_GREEN = "900001", "900109"


@pytest.fixture
def row_of(sample):
    """`row_of(urn)` is a row of the sample, to be changed before it is imported again."""
    return lambda urn: next(row for row in sample if row["URN"] == urn)


@pytest.fixture
def changes(transaction):
    """The changes that the last import recorded for the daily job: (URN, kind, details)."""

    def read():
        with transaction() as database:
            last = select(func.max(RegisterImport.id)).scalar_subquery()
            statement = select(School.register_id, SchoolChange.kind, SchoolChange.details).join(School)
            return [tuple(row) for row in database.execute(statement.where(SchoolChange.import_id == last))]

    return read


def school(urn):
    return session().scalars(select(School).where(School.register_id == urn)).one()


def all_rows(database):
    """All rows that an import writes, except the record of the import itself."""
    return {
        model.__tablename__: sorted(map(str, database.execute(select(model.__table__))))
        for model in (School, SchoolLink, SchoolChange, SearchWord)
    }


def test_the_first_import_adds_every_school_and_records_no_changes(register, transaction, changes):
    assert (register.rows, register.added, register.changed, register.left) == (300, 300, 0, 0)
    assert register.links == 17
    assert changes() == []
    with transaction() as database:
        willow = school(WILLOW_BANK)
        assert (willow.dfe_number, willow.name_key, willow.standing) == ("3124567", "willow bank primary school", 0)
        noted = database.scalars(select(RegisterImport)).one()
        assert (noted.rows, noted.added, noted.details["links"]) == (300, 300, 17)


def test_importing_the_same_file_again_writes_only_the_record_of_the_import(register, import_register, transaction):
    with transaction() as database:
        before = all_rows(database)

    again = import_register(links=SAMPLE_LINKS)

    with transaction() as database:
        assert all_rows(database) == before
        assert database.scalar(select(func.count()).select_from(RegisterImport)) == 2
    assert (again.added, again.changed, again.closed, again.reopened, again.left, again.returned) == (0,) * 6


def test_importing_the_same_file_again_takes_few_statements(register, import_register, record_statements):
    with record_statements() as statements:
        import_register()

    assert len([statement for statement in statements if "school" in statement]) <= 3, statements
    assert not [statement for statement in statements if "schools" in statement and not statement.startswith("SELECT")]


def test_the_same_schools_in_another_order_change_nothing(register, import_register, sample, changes):
    header = list(reversed([label for label in sample[0] if label != "RSCRegion (name)"]))

    again = import_register(csv_of(sample, encoding="utf-8-sig", header=header))

    assert (again.added, again.changed, again.left) == (0, 0, 0)
    assert changes() == []


def test_a_school_new_in_the_register_is_added_and_recorded(register, import_register, sample, row_of, changes):
    summary = import_register(
        [*sample, row_of(WILLOW_BANK) | {"URN": "900999", "EstablishmentName": "Brand New School"}]
    )

    assert summary.added == 1
    assert changes() == [("900999", "added", {})]


def test_a_change_is_recorded_with_the_values_before_and_after(
    register, import_register, sample, row_of, changes, transaction
):
    row_of(WILLOW_BANK).update(EstablishmentName="Weeping Willow Academy", CloseDate="31-08-2026")

    summary = import_register(sample)

    assert summary.changed == 1
    assert changes() == [
        (
            WILLOW_BANK,
            "changed",
            {"name": ["Willow Bank Primary School", "Weeping Willow Academy"], "closed_on": [None, "2026-08-31"]},
        )
    ]
    with transaction():
        assert school(WILLOW_BANK).name_key == "weeping willow academy"


def test_a_changed_name_is_found_and_the_old_one_is_not(register, import_register, sample, row_of, transaction):
    row_of(WILLOW_BANK).update(EstablishmentName="Weepingxyz Academy")

    import_register(sample)

    with transaction():
        assert [result.school.register_id for result in search.find("weepingxyz").results] == [WILLOW_BANK]
        assert WILLOW_BANK not in [result.school.register_id for result in search.find("willow bank primary").results]


def test_a_new_head_teacher_is_stored_and_not_recorded_as_a_change(
    register, import_register, sample, row_of, changes, transaction
):
    row_of(WILLOW_BANK).update({"HeadLastName": "Newcomer", "LastChangedDate": "01-05-2024"})

    assert import_register(sample).changed == 0
    assert changes() == []
    with transaction():
        assert "Newcomer" in school(WILLOW_BANK).head_teacher


def test_closing_and_reopening_are_recorded_as_such(register, import_register, sample, row_of, changes):
    closed = {"EstablishmentStatus (code)": "2", "EstablishmentStatus (name)": "Closed", "CloseDate": "28-02-2026"}
    opened = {name: row_of(WILLOW_BANK)[name] for name in closed}

    row_of(WILLOW_BANK).update(closed)
    summary = import_register(sample)
    assert (summary.closed, summary.changed) == (1, 0)
    assert [change[:2] for change in changes()] == [(WILLOW_BANK, "closed")]

    row_of(WILLOW_BANK).update(opened)
    summary = import_register(sample)
    assert (summary.reopened, summary.changed) == (1, 0)
    assert [change[:2] for change in changes()] == [(WILLOW_BANK, "reopened")]


def test_a_proposal_to_close_is_not_a_closure(register, import_register, sample, row_of, transaction):
    row_of(WILLOW_BANK).update({"EstablishmentStatus (code)": "3", "CloseDate": "31-08-2030"})

    assert import_register(sample).closed == 0
    with transaction():
        assert school(WILLOW_BANK).is_open


def test_a_school_that_leaves_the_register_is_marked_and_no_longer_offered(
    register, import_register, sample, row_of, changes, transaction
):
    summary = import_register([row for row in sample if row["URN"] != WILLOW_BANK], name="edubasealldata20260301.csv")

    assert summary.left == 1
    assert changes() == [(WILLOW_BANK, "left", {})]
    with transaction():
        assert school(WILLOW_BANK).left_register_on == date(2026, 3, 1)
        assert search.find("3124567").results == ()
        assert not school(WILLOW_BANK).is_open


def test_a_school_that_left_the_register_stays_marked_until_it_returns(
    register, import_register, sample, changes, transaction
):
    without = [row for row in sample if row["URN"] != WILLOW_BANK]
    import_register(without)
    assert import_register(without).left == 0
    assert changes() == []

    summary = import_register(sample)

    assert (summary.returned, summary.added, summary.changed) == (1, 0, 0)
    assert [change[:2] for change in changes()] == [(WILLOW_BANK, "returned")]
    with transaction():
        assert school(WILLOW_BANK).left_register_on is None


def test_a_file_without_many_of_our_open_schools_is_refused_unless_that_is_accepted(
    register, import_register, sample, transaction
):
    half_of_the_rows = [row | {"LastChangedDate": "30-04-2024"} for row in sample[:150]]

    with refused(r"lacks \d+ of our \d+ open schools.*--accept-shrink"):
        import_register(half_of_the_rows)
    with transaction() as database:
        assert database.scalar(select(func.count()).where(School.left_register_on.isnot(None))) == 0

    assert import_register(half_of_the_rows, accept_shrink=True).left == 150


def test_a_file_that_is_refused_at_its_last_line_changes_nothing(
    register, import_register, sample, row_of, transaction
):
    with transaction() as database:
        before = all_rows(database)
    row_of(WILLOW_BANK)["EstablishmentName"] = "Changed Before The Fault"
    sample[-1]["URN"] = "rubbish"

    with refused("Line 301"):
        import_register(sample)

    with transaction() as database:
        assert all_rows(database) == before
        assert database.scalar(select(func.count()).select_from(RegisterImport)) == 1


def test_a_file_with_only_a_header_is_refused(register, import_register, sample):
    with refused("a heading and no schools"):
        import_register(csv_of(sample).split(b"\r\n")[0] + b"\r\n")


def test_a_file_with_an_older_date_in_its_name_is_refused(register, import_register, sample):
    import_register(sample, name="edubasealldata20260301.csv")

    with refused("of 28 February 2026, older than the one imported last, of 1 March 2026"):
        import_register(sample, name="edubasealldata20260228.csv")
    import_register(sample, name="edubasealldata20260301.csv")


def test_a_file_without_a_date_is_as_old_as_its_newest_change(register, import_register, sample, transaction):
    with transaction() as database:
        newest = database.scalars(select(RegisterImport)).one()
        assert newest.dated == newest.newest_change_on
    for row in sample:
        row["LastChangedDate"] = "01-01-2020"

    with refused("of 1 January 2020, older"):
        import_register(sample)


def test_the_same_file_under_a_dated_and_a_plain_name_is_not_older(register, import_register, sample):
    import_register(sample, name="edubasealldata20260301.csv")

    assert import_register(sample).changed == 0


def test_a_dry_run_reports_changes_and_makes_none(register, import_register, sample, row_of, transaction):
    with transaction() as database:
        before = all_rows(database), database.scalar(select(func.count()).select_from(Entry))
    row_of(WILLOW_BANK)["EstablishmentName"] = "Only Thought Of"
    gone = [row for row in sample if row["URN"] != BIRCH_GREEN]

    summary = import_register([*gone, row_of(WILLOW_BANK) | {"URN": "900999"}], dry_run=True, links=SAMPLE_LINKS)

    assert (summary.added, summary.changed, summary.left, summary.dry_run) == (1, 1, 1, True)
    with transaction() as database:
        assert (all_rows(database), database.scalar(select(func.count()).select_from(Entry))) == before
        assert database.scalar(select(func.count()).select_from(RegisterImport)) == 1


def test_irregular_values_are_counted_and_listed(import_register, sample, row_of):
    row_of(WILLOW_BANK).update({"OpenDate": "never", "TypeOfEstablishment (code)": "99"})

    summary = import_register(sample)

    assert (summary.unknown_codes, summary.repairs) == (1, 1)
    assert sorted(oddity.label for oddity in summary.oddities) == ["OpenDate", "TypeOfEstablishment (code)"]


def test_progress_is_reported(import_register):
    reports = []

    import_register(progress=lambda rows, share: reports.append((rows, share)))

    assert reports[-1] == (300, 1.0)


def test_an_import_is_in_the_audit_log(register, transaction):
    with transaction() as database:
        entry = database.scalars(select(Entry).where(Entry.event == "register.imported")).one()

    assert (entry.actor, entry.facts["rows"]) == ("cli", 300)


def test_words_are_counted_and_deleted_with_their_last_school(register, import_register, sample, row_of, transaction):
    row_of(WILLOW_BANK)["EstablishmentName"] = "Zyzzyva Primary School"
    import_register(sample)
    with transaction() as database:
        assert database.scalars(select(SearchWord).where(SearchWord.word == "zyzzyva")).one().schools == 1

    row_of(WILLOW_BANK)["EstablishmentName"] = "Willow Bank Primary School"
    import_register(sample)
    with transaction() as database:
        assert database.scalar(select(SearchWord).where(SearchWord.word == "zyzzyva")) is None
        orphans = text("SELECT count(*) FROM word_trigrams WHERE word_id NOT IN (SELECT id FROM search_words)")
        assert database.scalar(orphans) == 0
        counted = text("SELECT word_id, count(*) FROM school_words GROUP BY word_id")
        stored_counts = {word.id: word.schools for word in database.scalars(select(SearchWord))}
        assert stored_counts == dict(database.execute(counted).all())
        assert set(index.load().values()) == set(stored_counts)


def test_an_import_updates_the_statistics_of_postgresql_and_searches_are_quick(register, import_register, transaction):
    with transaction():
        if session().get_bind().dialect.name != "postgresql":
            pytest.skip("only PostgreSQL plans with statistics")
        for table in (SchoolWord, SearchWord, WordTrigram, School, RegisterImport):
            session().execute(delete(table))
    with transaction():  # what autovacuum does during an import, while it cannot see the new rows
        session().execute(text("ANALYZE schools, search_words, school_words, word_trigrams"))
    import_register(links=SAMPLE_LINKS)
    with transaction():
        counted = session().execute(text("SELECT reltuples FROM pg_class WHERE relname = 'schools'")).scalar_one()
        assert counted == session().scalar(select(func.count()).select_from(School))
        assert len(search.find("school").results) == search.PAGE_SIZE


def test_links_are_stored_once_for_both_directions(register, transaction):
    with transaction() as database:
        links = database.scalars(select(SchoolLink)).all()

    assert len({(link.from_urn, link.to_urn, link.kind) for link in links}) == len(links) == register.links
    birch = next(link for link in links if link.from_urn == BIRCH_GREEN)
    assert (birch.to_urn, birch.name, birch.since, birch.is_succession) == (
        "900110", "Birch Green Academy", date(2018, 9, 1), True,
    )  # fmt: skip
    assert {link.kind for link in links if not link.is_succession} == {
        "Result of Amalgamation", "Sixth Form Centre Link", "Other",
    }  # fmt: skip


def test_links_missing_from_the_file_are_deleted_and_without_a_file_they_stay(register, import_register, transaction):
    fewer = [link for link in rows_of(SAMPLE_LINKS) if BIRCH_GREEN not in link.values()]

    assert import_register().links is None
    assert import_register(links=fewer).links == register.links - 1
    with transaction() as database:
        assert database.scalars(select(SchoolLink).where(SchoolLink.from_urn == BIRCH_GREEN)).all() == []


def test_of_two_imports_at_once_the_second_waits_and_changes_nothing(run_concurrently):
    def import_register():
        with files.open_sources(SAMPLE, SAMPLE_LINKS) as sources:
            return refresh.run(sources)

    outcomes = run_concurrently(2, import_register)

    assert sorted(outcome.added for outcome in outcomes) == [0, 300], outcomes


def test_the_latest_import_has_its_moment(register, transaction, clock):
    with transaction():
        assert imports.latest().imported_at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
