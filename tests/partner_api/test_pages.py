"""Pages of `GET /api/schools` where few of many schools are asked for: all are found, and no page reads many rows."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import event, insert, select, update

from idp.estabs.models import Estab
from idp.foundation.database import connection, db
from idp.schools.models import RegisterImport, School
from idp.sharing import client_schools
from idp.sharing.models import Authorisation
from idp.xporter.models import Endpoint
from tests.partner_api.test_schools import an_endpoint

pytestmark = pytest.mark.usefixtures("also_on_postgresql")

SCHOOLS = 1200
RARE = {"bulk0007", "bulk0500", "bulk1199"}
"""The schools that are in the state that a test asks for."""
MAX_SCANNED, MAX_CHANGED = 100, 10
MAX_ROWS = 10 * MAX_SCANNED
"""Of all tables together, that a page may read; PostgreSQL may take another plan where there are more."""


@pytest.fixture
def many(program, authorised, transaction, clock, monkeypatch):
    """Have `SCHOOLS` schools with a connected server that authorised the program's application long ago."""
    monkeypatch.setattr(client_schools, "MAX_SCANNED", MAX_SCANNED)
    monkeypatch.setattr(client_schools, "MAX_CHANGED", MAX_CHANGED)
    estab_id = authorised(program, "Oakhill School", days=3650).memberships[0].estab_id
    with transaction() as session:
        session.add(an_endpoint(estab_id, program.partner.id, clock.now(), {}))
    _multiply(transaction, estab_id, SCHOOLS)
    clock.move(timedelta(days=30))
    program.request_token()
    with transaction():
        connection().execute(update(Endpoint).values(heard_at=clock.now()))
    return program


def _multiply(transaction, estab_id, count, *, first=0):
    """Add schools like that of one estab, with its agreement and its server."""
    names = [f"bulk{number:04}" for number in range(first, first + count)]
    with transaction():
        school_id = connection().scalar(select(Estab.school_id).where(Estab.id == estab_id))
        numbers = range(10_000 + first, 10_000 + first + count)
        columns = {Estab: "id", Authorisation: "estab_id", Endpoint: "estab_id"}
        _copy(School, "id", school_id, [{"id": n, "register_id": f"bulk{n}", "dfe_number": None} for n in numbers])
        pairs = list(zip(names, numbers, strict=True))
        changes = {
            Estab: [{"id": name, "estab_id": name, "school_id": number} for name, number in pairs],
            Authorisation: [{"id": name, "line": name, "estab_id": name} for name in names],
            Endpoint: [{"id": name, "estab_id": name} for name in names],
        }
        for model, column in columns.items():
            _copy(model, column, estab_id, changes[model])


def _copy(model, column, value, changes):
    table = model.__table__
    row = connection().execute(select(table).where(table.c[column] == value)).one()
    connection().execute(insert(table), [{**row._mapping, **change} for change in changes])


def _follow(program, query):
    """The schools of all pages, and how many each page had."""
    schools, sizes, cursor = [], [], None
    while True:
        page = program.get(f"/api/schools?{query}" + (f"&cursor={cursor}" if cursor else "")).json
        schools += [school["estab_id"] for school in page["schools"]]
        sizes.append(len(page["schools"]))
        cursor = page.get("next")
        if cursor is None:
            return schools, sizes


def _make_rare(transaction, clock, model, **values):
    column = Estab.id if model is Estab else model.estab_id
    with transaction():
        connection().execute(update(model).where(column.in_(RARE)).values(**values))


def _lost(transaction, clock):
    _make_rare(transaction, clock, Endpoint, heard_at=clock.now() - timedelta(days=2))


def _withdrawn(transaction, clock):
    _make_rare(transaction, clock, Authorisation, withdrawn_at=clock.now())


def _paused(transaction, clock):
    _make_rare(transaction, clock, Authorisation, paused_at=clock.now())


def _expired(transaction, clock):
    _make_rare(transaction, clock, Authorisation, until=clock.now())


def _closed(transaction, clock):
    _make_rare(transaction, clock, Estab, state="closed")


def _unverified(transaction, clock):
    _make_rare(transaction, clock, Estab, state="unverified")


QUERIES = [
    ("connection=awaiting_endpoint", _lost), ("connection=withdrawn", _withdrawn), ("connection=paused", _paused),
    ("connection=awaiting_authorisation", _expired), ("connection=awaiting_verification", _unverified),
    ("connection=closed", _closed), ("status=withdrawn", _withdrawn), ("verification=unverified", _unverified),
    ("verification=closed&connection=closed", _closed),
]  # fmt: skip


@pytest.mark.parametrize(("query", "happens"), QUERIES)
def test_all_schools_in_a_rare_state_are_found_over_pages_of_which_most_are_empty(
    many, transaction, clock, query, happens
):
    happens(transaction, clock)
    schools, sizes = _follow(many, query)
    assert (schools, len(schools)) == (sorted(RARE), 3)
    assert len(sizes) >= SCHOOLS // MAX_SCANNED
    assert sizes.count(0) == len(sizes) - 3


@pytest.mark.parametrize(("query", "happens"), [*QUERIES, ("connection=connected", _lost), ("limit=200", _lost)])
def test_a_page_reads_as_many_rows_of_many_schools_as_of_twice_as_many(
    many, transaction, clock, rows_read, query, happens
):
    happens(transaction, clock)
    before = rows_read(f"/api/schools?{query}")
    estab_id = _some_estab(transaction)
    _multiply(transaction, estab_id, SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?{query}") <= max(before * 1.25, MAX_ROWS)


def _some_estab(transaction):
    with transaction():
        return connection().scalar(select(Authorisation.estab_id).where(Authorisation.estab_id.not_like("bulk%")))


def _changed(transaction, clock, model, **values):
    clock.move(timedelta(minutes=1))
    _make_rare(transaction, clock, model, **values)


CHANGES = [
    (Authorisation, "changed_at"), (Authorisation, "until"), (Estab, "state_changed_at"),
    (Estab, "endpoint_changed_at"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "column"), CHANGES)
def test_what_little_has_changed_of_many_is_one_page_and_little_is_read(
    many, transaction, clock, rows_read, model, column
):
    since = quote(clock.now().isoformat())
    clock.move(timedelta(minutes=1))
    _make_rare(transaction, clock, model, **{column: clock.now()})
    assert _follow(many, f"changed_since={since}") == (sorted(RARE), [3])
    before = rows_read(f"/api/schools?changed_since={since}")
    _multiply(transaction, _some_estab(transaction), SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?changed_since={since}") <= max(before * 1.25, MAX_ROWS)


def test_schools_whose_entry_was_imported_anew_are_one_page(many, transaction, clock, rows_read):
    since = quote(clock.now().isoformat())
    clock.move(timedelta(minutes=1))
    with transaction() as session:
        table = RegisterImport.__table__
        row = connection().execute(select(table).order_by(table.c.id.desc())).first()
        next_id = row.id + 1  # PostgreSQL numbers imports on from those of other tests
        session.execute(insert(table), [{**row._mapping, "id": next_id, "imported_at": clock.now()}])
        ids = select(Estab.school_id).where(Estab.id.in_(RARE))
        connection().execute(update(School).where(School.id.in_(ids)).values(last_seen_in=next_id))
    assert _follow(many, f"changed_since={since}") == (sorted(RARE), [3])
    before = rows_read(f"/api/schools?changed_since={since}")
    _multiply(transaction, _some_estab(transaction), SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?changed_since={since}") <= max(before * 1.25, MAX_ROWS)


@pytest.mark.parametrize("changed_of_others", [MAX_CHANGED, MAX_CHANGED + 1, SCHOOLS])
def test_what_changed_is_found_where_much_else_has_changed_too(many, transaction, clock, changed_of_others):
    since = quote(clock.now().isoformat())
    clock.move(timedelta(minutes=1))
    with transaction():
        connection().execute(
            update(Authorisation).where(Authorisation.estab_id.in_(RARE)).values(changed_at=clock.now())
        )
        some = [f"bulk{number:04}" for number in range(600, 600 + changed_of_others)]
        connection().execute(update(Estab).where(Estab.id.in_(some)).values(endpoint_changed_at=clock.now()))
        changed = select(Authorisation.estab_id).where(Authorisation.estab_id.in_([*some, *RARE]))
        expected = sorted(connection().scalars(changed))
    assert _follow(many, f"changed_since={since}&limit=50")[0] == expected


def test_a_page_that_is_full_leads_on_behind_its_last_school(many):
    schools, sizes = _follow(many, "connection=connected&limit=70")
    assert len(schools) == len(set(schools)) == SCHOOLS + 1
    assert max(sizes) == 70


@pytest.fixture
def rows_read(app, many, transaction):
    """`rows_read(path)` gets a page, and returns how many rows its statements read: of SQLite, how many steps."""
    with app.app_context():
        engine = db.engine

    def count(path):
        statements = []
        listener = lambda *call: statements.append(call[2:4])  # noqa: E731  the statement and its parameters
        with transaction():
            if connection().dialect.name == "postgresql":
                connection().exec_driver_sql("ANALYZE")
        event.listen(engine, "before_cursor_execute", listener)
        try:
            many.get(path)
        finally:
            event.remove(engine, "before_cursor_execute", listener)
        with transaction():
            run = _rows_of_plan if connection().dialect.name == "postgresql" else _steps
            return sum(run(connection(), *statement) for statement in statements if statement[0].startswith("SELECT"))

    return count


def _rows_of_plan(its, statement, parameters):
    its.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which it prefers where there are few rows
    [plan] = its.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
    return _rows_of_node(plan["Plan"])


def _rows_of_node(node):
    rows = node["Actual Rows"] + sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    return rows * node["Actual Loops"] + sum(map(_rows_of_node, node.get("Plans", ())))


def _steps(its, statement, parameters):
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    driver = its.connection.driver_connection
    driver.set_progress_handler(step, 1)
    try:
        its.exec_driver_sql(statement, parameters).all()
    finally:
        driver.set_progress_handler(None, 0)
    return steps
