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
def many_schools(program, add_authorised_school, transaction, clock, monkeypatch):
    """Have `SCHOOLS` schools with a connected server that authorised the program's application long ago."""
    monkeypatch.setattr(client_schools, "MAX_SCANNED", MAX_SCANNED)
    monkeypatch.setattr(client_schools, "MAX_CHANGED", MAX_CHANGED)
    estab_id = add_authorised_school(program, "Oakhill School", days=3650).memberships[0].estab_id
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
        changes = {
            Estab: [
                {"id": name, "estab_id": name, "school_id": number} for name, number in zip(names, numbers, strict=True)
            ],
            Authorisation: [{"id": name, "line": name, "estab_id": name} for name in names],
            Endpoint: [{"id": name, "estab_id": name} for name in names],
        }
        for model, column in columns.items():
            _copy(model, column, estab_id, changes[model])


def _copy(model, column, value, changes):
    """Copy the row that has this value in the column, once with each of the changes."""
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
    """Change the rows of the `RARE` schools."""
    column = Estab.id if model is Estab else model.estab_id
    with transaction():
        connection().execute(update(model).where(column.in_(RARE)).values(**values))


def _lose_servers(transaction, clock):
    _make_rare(transaction, clock, Endpoint, heard_at=clock.now() - timedelta(days=2))


def _withdraw(transaction, clock):
    _make_rare(transaction, clock, Authorisation, withdrawn_at=clock.now())


def _pause(transaction, clock):
    _make_rare(transaction, clock, Authorisation, paused_at=clock.now())


def _expire(transaction, clock):
    _make_rare(transaction, clock, Authorisation, until=clock.now())


def _close(transaction, clock):
    _make_rare(transaction, clock, Estab, state="closed")


def _make_unverified(transaction, clock):
    _make_rare(transaction, clock, Estab, state="unverified")


QUERIES = [
    ("connection=awaiting_endpoint", _lose_servers), ("connection=withdrawn", _withdraw), ("connection=paused", _pause),
    ("connection=awaiting_authorisation", _expire), ("connection=awaiting_verification", _make_unverified),
    ("connection=closed", _close), ("status=withdrawn", _withdraw), ("verification=unverified", _make_unverified),
    ("verification=closed&connection=closed", _close),
]  # fmt: skip


@pytest.mark.parametrize(("query", "make_rare"), QUERIES)
def test_all_schools_in_a_rare_state_are_found_over_pages_of_which_most_are_empty(
    many_schools, transaction, clock, query, make_rare
):
    make_rare(transaction, clock)
    schools, sizes = _follow(many_schools, query)
    assert (schools, len(schools)) == (sorted(RARE), 3)
    assert len(sizes) >= SCHOOLS // MAX_SCANNED
    assert sizes.count(0) == len(sizes) - 3


@pytest.mark.parametrize(
    ("query", "make_rare"), [*QUERIES, ("connection=connected", _lose_servers), ("limit=200", _lose_servers)]
)
def test_the_rows_read_for_a_page_do_not_grow_with_the_number_of_schools(
    many_schools, transaction, clock, rows_read, query, make_rare
):
    make_rare(transaction, clock)
    before = rows_read(f"/api/schools?{query}")
    estab_id = _some_estab(transaction)
    _multiply(transaction, estab_id, SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?{query}") <= max(before * 1.25, MAX_ROWS)


def _some_estab(transaction):
    with transaction():
        return connection().scalar(select(Authorisation.estab_id).where(Authorisation.estab_id.not_like("bulk%")))


CHANGES = [
    (Authorisation, "changed_at"), (Authorisation, "until"), (Estab, "state_changed_at"),
    (Estab, "endpoint_changed_at"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "column"), CHANGES)
def test_a_few_changed_schools_are_one_page_and_few_rows_are_read(
    many_schools, transaction, clock, rows_read, model, column
):
    since = quote(clock.now().isoformat())
    clock.move(timedelta(minutes=1))
    _make_rare(transaction, clock, model, **{column: clock.now()})
    assert _follow(many_schools, f"changed_since={since}") == (sorted(RARE), [3])
    before = rows_read(f"/api/schools?changed_since={since}")
    _multiply(transaction, _some_estab(transaction), SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?changed_since={since}") <= max(before * 1.25, MAX_ROWS)


def test_a_few_schools_with_a_new_register_entry_are_one_page_and_few_rows_are_read(
    many_schools, transaction, clock, rows_read
):
    since = quote(clock.now().isoformat())
    clock.move(timedelta(minutes=1))
    with transaction() as session:
        table = RegisterImport.__table__
        row = connection().execute(select(table).order_by(table.c.id.desc())).first()
        next_id = row.id + 1  # PostgreSQL numbers imports on from those of other tests
        session.execute(insert(table), [{**row._mapping, "id": next_id, "imported_at": clock.now()}])
        ids = select(Estab.school_id).where(Estab.id.in_(RARE))
        connection().execute(update(School).where(School.id.in_(ids)).values(last_seen_in=next_id))
    assert _follow(many_schools, f"changed_since={since}") == (sorted(RARE), [3])
    before = rows_read(f"/api/schools?changed_since={since}")
    _multiply(transaction, _some_estab(transaction), SCHOOLS, first=2000)
    assert rows_read(f"/api/schools?changed_since={since}") <= max(before * 1.25, MAX_ROWS)


@pytest.mark.parametrize("changed_of_others", [MAX_CHANGED, MAX_CHANGED + 1, SCHOOLS])
def test_every_changed_school_is_found_however_many_others_changed(many_schools, transaction, clock, changed_of_others):
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
    assert _follow(many_schools, f"changed_since={since}&limit=50")[0] == expected


def test_the_page_after_a_full_one_begins_after_its_last_school(many_schools):
    schools, sizes = _follow(many_schools, "connection=connected&limit=70")
    assert len(schools) == len(set(schools)) == SCHOOLS + 1
    assert max(sizes) == 70


@pytest.fixture
def rows_read(app, many_schools, transaction):
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
            many_schools.get(path)
        finally:
            event.remove(engine, "before_cursor_execute", listener)
        with transaction():
            count_rows = _rows_of_plan if connection().dialect.name == "postgresql" else _steps_of_sqlite
            return sum(
                count_rows(connection(), *statement) for statement in statements if statement[0].startswith("SELECT")
            )

    return count


def _rows_of_plan(connection, statement, parameters):
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # PostgreSQL prefers it where there are few rows
    [plan] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
    return _rows_of_node(plan["Plan"])


def _rows_of_node(node):
    rows = node["Actual Rows"] + sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    return rows * node["Actual Loops"] + sum(map(_rows_of_node, node.get("Plans", ())))


def _steps_of_sqlite(connection, statement, parameters):
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    driver = connection.connection.driver_connection
    driver.set_progress_handler(step, 1)
    try:
        connection.exec_driver_sql(statement, parameters).all()
    finally:
        driver.set_progress_handler(None, 0)
    return steps
