"""`idp db backup` and `idp db restore`: from the loss of a database to the next sign-in, and what is refused."""

import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner
from sqlalchemy import JSON, Boolean, Date, Integer, LargeBinary, Text, cast, create_engine, func, insert, select, text

from idp import migrations
from idp.app import create_app
from idp.audit import chain, events
from idp.cli import main
from idp.foundation import database
from idp.foundation.database import TRANSIENT, Instant, WordSet, db
from idp.foundation.errors import Refusal
from idp.foundation.load_settings import load
from idp.foundation.web import transactions
from idp.keys import ring
from idp.migrations import backups
from idp.partner_events.models import PartnerEvent
from tests import factories
from tests.audit_entries import recorded
from tests.code_accounts import an_operator
from tests.conftest import a_browser
from tests.databases import DATABASE_SETTINGS, SqliteDatabases
from tests.oidc.support import obtain_tokens, sign_in_and_authorise

TABLES_OF_BACKUPS = [table for table in db.metadata.sorted_tables if not table.info.get(TRANSIENT)]


@pytest.fixture
def file(tmp_path):
    """Where the backup is written."""
    return tmp_path / "2026-03-02.backup"


@pytest.fixture
def back_up(app, file):
    """`back_up()` writes a backup to `file`."""

    def make(**options):
        return backups.create(app, file, **{"by": lambda: "cli", "progress": lambda _: None, **options})

    return make


@pytest.fixture(params=["same", "sqlite"] if os.environ.get("TEST_DATABASE") else ["same"])
def app_on_empty_database(request, databases, tmp_path):
    """An application on an empty database: of the kind that the tests run on, and on SQLite."""
    url = (databases if request.param == "same" else SqliteDatabases(tmp_path)).new("restored")
    other = create_app(load(database={"url": url, **DATABASE_SETTINGS}))
    yield other
    with other.app_context():
        db.engine.dispose()


def restore(app, file):
    return backups.restore(app, file, progress=lambda _: None)


def rows_of(app, tables=TABLES_OF_BACKUPS):
    """All rows, by table; JSON as its text."""
    with transactions.transaction(app):
        return {
            table.name: sorted(
                map(tuple, database.connection().execute(select(*map(_as_stored, table.c)))), key=repr
            )
            for table in tables
        }  # fmt: skip


def _as_stored(column):
    return cast(column, Text) if isinstance(column.type, JSON) else column


def a_value(column, number):
    """A value of the column's type that a wrong conversion would change."""
    values = {
        Instant: datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC) + timedelta(hours=number), Date: date(2024, 2, 29),
        Boolean: number % 2 == 0, LargeBinary: bytes([0, 255, number]), WordSet: frozenset({"b", "a"}),
        JSON: {"ŵ": [1, None, "\u2028", {"\\": "'"}], "a": 1.5}, Integer: 2**31 - 1 - number,
        Text: f"Ysgol Tŷ'r \"Gŵyr\"\\ 💛\n{number}",
    }  # fmt: skip
    return next(value for kind, value in values.items() if isinstance(column.type, kind))


def fill_every_table(connection):
    """Two rows in each table: one with all columns, and one with none that may be null."""
    numbers, keys = count(1), dict[tuple[str, bool], dict[str, Any]]()
    for table in TABLES_OF_BACKUPS:
        if table.name == "signing_keys":  # there are real ones
            continue
        for is_full in (True, False):
            row = {}
            for column in table.c:
                if column.foreign_keys:
                    (key,) = column.foreign_keys
                    row[column.name] = keys[key.column.table.name, is_full][key.column.name]
                elif is_full or not column.nullable:
                    row[column.name] = a_value(column, next(numbers) % 250)
            connection.execute(insert(table), row)
            keys[table.name, is_full] = row


def test_every_row_of_every_table_is_restored(transaction, back_up, file, app_on_empty_database, app):
    with transaction() as session:
        fill_every_table(session.connection())
        session.connection().execute(text("UPDATE clients SET contacts = 'null' WHERE jwks IS NULL"))  # JSON's own null
        words = db.metadata.tables["search_words"]
        session.connection().execute(insert(words), [{"id": n, "word": f"word{n}"} for n in range(10, 2510)])
    backup = back_up()

    assert restore(app_on_empty_database, file) == backup
    restored, original = rows_of(app_on_empty_database), rows_of(app)
    assert len(restored["search_words"]) == 2502
    entries = [restored.pop("audit_entries"), original.pop("audit_entries")]
    assert restored == original
    assert len(entries[0]) == len(entries[1]) + 1, "the restoration is recorded"
    assert set(entries[1]) < set(entries[0])


def test_after_a_restoration_tokens_and_keys_work_and_sessions_do_not(
    world,
    web,
    back_up,
    file,
    app_on_empty_database,
    app,
    settings,
    clock,
    transaction,
):
    tokens = obtain_tokens(web, world.partner, world.username)
    with transaction():
        chain.seal()
    back_up()
    session_cookie = web.get_cookie("idaas-session").value

    restore(app_on_empty_database, file)

    browser = a_browser(app_on_empty_database, settings)
    browser.set_cookie("idaas-session", session_cookie)
    assert browser.get("/manage").status_code == 303, "sessions are not in a backup"
    refreshed = world.partner.refresh(browser, tokens["refresh_token"]).json
    with transactions.transaction(app_on_empty_database):
        assert ring.verify(refreshed["access_token"], typ="at+jwt")["estab_id"] == world.estab_id
        assert ring.verify(tokens["access_token"], typ="at+jwt")["jti"], "keys verify what they signed before"
    assert browser.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json["sub"]
    assert obtain_tokens(browser, world.partner, world.username, prompt="login")["access_token"]
    with transactions.transaction(app_on_empty_database):
        chain.seal()
        assert chain.verify(from_start=True).discrepancies == []
        assert recorded(events.DATABASE_BACKED_UP)
        assert recorded(events.DATABASE_RESTORED)
    assert migrations.differences(app_on_empty_database) == []


def test_sessions_codes_and_waiting_messages_are_not_restored(world, web, back_up, file, app_on_empty_database, app):
    sign_in_and_authorise(web, world.partner, world.username)
    transient = [table for table in db.metadata.sorted_tables if table.info.get(TRANSIENT)]
    assert {"browser_sessions", "codes", "outbox"} <= {name for name, rows in rows_of(app, transient).items() if rows}
    back_up()
    restore(app_on_empty_database, file)
    assert not any(rows_of(app_on_empty_database, transient).values())


def test_no_table_of_a_backup_refers_to_one_that_is_left_out():
    referred = {key.column.table for table in TABLES_OF_BACKUPS for key in table.foreign_keys}
    assert [table.name for table in referred if table.info.get(TRANSIENT)] == []
    assert TRANSIENT in db.metadata.tables["browser_sessions"].info


def test_numbers_of_deleted_rows_are_not_used_again(world, transaction, back_up, file, app_on_empty_database):
    event = {
        "client_id": world.partner.id, "name": "sharing-ended", "subject": "s", "facts": {}, "attempts": 0,
        "happened_at": datetime(2026, 3, 1, tzinfo=UTC),
    }  # fmt: skip
    with transaction() as session:
        table = PartnerEvent.__table__
        rows = [{**_required(table), **event, "id": f"event-{n}"} for n in range(7)]
        session.connection().execute(insert(table), rows)
        last = session.scalar(select(func.max(PartnerEvent.number)))
        session.query(PartnerEvent).delete()
    back_up()
    restore(app_on_empty_database, file)
    with transactions.transaction(app_on_empty_database):
        connection = database.connection()
        connection.execute(insert(table), {**_required(table), **event, "id": "after"})
        assert connection.execute(select(table.c.number)).scalar_one() == last + 1


def _required(table):
    return {
        column.name: a_value(column, 1)
        for column in table.c
        if not column.nullable and not column.primary_key and not column.foreign_keys
    }


def test_a_second_restore_waits_for_the_first_and_is_refused(
    transaction, back_up, file, app_on_empty_database, monkeypatch
):
    with transaction():
        factories.a_school()
    back_up()
    has_copied, may_commit, outcomes = threading.Event(), threading.Event(), list[object]()
    check = backups._check_sealing_keys

    def wait_before_commit():
        has_copied.set()
        assert may_commit.wait(60)
        check()

    def run_restore():
        try:
            outcomes.append(restore(app_on_empty_database, file))
        except Refusal as error:
            outcomes.append(error.message)

    monkeypatch.setattr(backups, "_check_sealing_keys", wait_before_commit)
    first, second = (threading.Thread(target=run_restore) for _ in range(2))
    first.start()
    assert has_copied.wait(60)
    second.start()
    second.join(2)  # long enough to find the database app_on_empty_database, were it not for the lock
    may_commit.set()
    first.join(60)
    second.join(60)
    assert isinstance(outcomes[0], backups.Backup)
    assert "restore into a new and empty one" in str(outcomes[1])
    assert len(rows_of(app_on_empty_database)["schools"]) == 1


def test_others_write_while_it_is_made_and_what_they_write_is_not_in_it(
    transaction, back_up, file, monkeypatch, app_on_empty_database
):
    with transaction():
        before = factories.a_school().register_id
    copy, written = backups._copy, list[str]()

    def copy_after_a_write(*arguments):
        if not written:
            with transaction():
                written.append(factories.a_school().register_id)
        return copy(*arguments)

    monkeypatch.setattr(backups, "_copy", copy_after_a_write)
    back_up()
    monkeypatch.undo()
    restore(app_on_empty_database, file)
    with transactions.transaction(app_on_empty_database):
        names = set(database.connection().execute(text("SELECT register_id FROM schools")).scalars())
    assert before in names
    assert not names.intersection(written)


class TestTheFile:
    def test_it_is_for_its_owner_alone_and_no_other_file_stays(self, back_up, file):
        back_up()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert list(file.parent.iterdir()) == [file]

    def test_a_backup_does_not_replace_a_file(self, back_up, file):
        file.write_text("last week's")
        with pytest.raises(Refusal, match="exists already"):
            back_up()
        assert file.read_text() == "last week's"

    def test_a_backup_that_fails_on_a_full_disk_leaves_no_file(self, back_up, file, monkeypatch):
        def fail(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(Refusal, match="No backup was made"):
            back_up()
        assert list(file.parent.iterdir()) == []

    def test_a_backup_to_a_missing_folder_is_refused_with_its_name(self, back_up, app, tmp_path):
        with pytest.raises(Refusal, match=r"nowhere/a\.unfinished cannot be written: No such file or directory"):
            backups.create(app, tmp_path / "nowhere" / "a", by=lambda: "cli", progress=lambda _: None)


class TestRefused:
    def test_a_restoration_into_a_database_with_rows_is_refused(self, transaction, back_up, file, app):
        with transaction():
            factories.a_school()
        back_up()
        before = rows_of(app)
        with pytest.raises(Refusal, match="has rows already"):
            restore(app, file)
        assert rows_of(app) == before

    def test_a_restoration_with_other_secrets_is_refused(self, back_up, file, databases):
        other_secrets = {"sealing": {"test": "b3RoZXIgc2VhbGluZyBrZXkgb2YgMzIgYnl0ZXMhIS4="}}
        url = databases.new("other_secrets")
        other = create_app(load(database={"url": url, **DATABASE_SETTINGS}, secrets=other_secrets))
        back_up()
        with pytest.raises(Refusal, match="sealed with other secrets"):
            restore(other, file)
        assert not any(rows_of(other).values()), "and nothing is restored"
        with other.app_context():
            db.engine.dispose()

    def test_a_backup_and_a_restoration_of_an_unreachable_database_are_refused(self, back_up, file):
        back_up()
        unreachable = create_app(load(database={"url": f"sqlite:///{file.parent}/nowhere/idp.sqlite3"}))
        shutil.rmtree(file.parent / "nowhere")
        with pytest.raises(Refusal, match=r"No backup was made\. OperationalError"):
            backups.create(unreachable, file.with_name("another"), by=lambda: "cli", progress=lambda _: None)
        with pytest.raises(Refusal, match=r"Nothing was restored\. OperationalError"):
            restore(unreachable, file)

    @pytest.mark.parametrize("content", ["missing", "text", "cut off", "another database", "rows are missing"])
    def test_a_file_that_is_not_a_backup_or_is_damaged_is_refused(
        self, content, transaction, back_up, file, app_on_empty_database
    ):
        with transaction():
            factories.a_school()
        back_up()
        _damage(file, content)
        with pytest.raises(Refusal, match=r"no file|no backup|damaged"):
            restore(app_on_empty_database, file)
        if migrations.revision_of(app_on_empty_database):
            assert not any(rows_of(app_on_empty_database).values())

    def test_a_backup_of_a_newer_release_is_refused(self, back_up, file, app_on_empty_database):
        back_up()
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(Refusal, match="of a newer release: its schema is 9999"):
            restore(app_on_empty_database, file)


def _damage(file, content):
    if content == "missing":
        file.unlink()
    elif content == "text":
        file.write_text("a text")
    elif content == "cut off":
        os.truncate(file, file.stat().st_size // 2)
    elif content == "another database":
        file.unlink()
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("CREATE TABLE something (id INTEGER)")
    else:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("DELETE FROM schools")


def test_a_backup_of_an_older_schema_is_migrated(file, app_on_empty_database):
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "0040")
        connection.execute(
            text("INSERT INTO partners (id, name, website, contact_email, created_at) VALUES ('a', 'b', '', '', :at)"),
            {"at": "2026-03-02 09:30:00.000000"},
        )
        backups._describe(
            connection, backups.Backup(datetime(2026, 3, 2, tzinfo=UTC), "https://idp.example", "0.1", {"partners": 1})
        )
    before = file.read_bytes()
    restore(app_on_empty_database, file)
    assert [row[:2] for row in rows_of(app_on_empty_database)["partners"]] == [("a", "b")]
    assert migrations.revision_of(app_on_empty_database) == migrations.head()
    assert file.read_bytes() == before, "the backup itself stays as it is"


class TestCommands:
    @pytest.fixture
    def run(self, monkeypatch):
        def invoke(app, *arguments):
            monkeypatch.setattr("idp.cli._create_app", lambda: app)
            return CliRunner().invoke(main, arguments)

        return invoke

    def test_the_commands_print_what_they_did_and_record_who_did_it(
        self, run, app, app_on_empty_database, file, transaction, clock
    ):
        with transaction():
            operator = an_operator("sam@idaas.example")[0].id
        made = run(app, "--as", "sam@idaas.example", "db", "backup", str(file))
        assert made.exit_code == 0, made.output
        assert made.stdout.startswith(f"{file}: ")
        assert "2026-03-02 09:30 UTC (09:30 GMT)" in made.stdout
        with transaction():
            assert recorded(events.DATABASE_BACKED_UP)[0][0] == operator

        restored = run(app_on_empty_database, "db", "restore", str(file))
        assert restored.exit_code == 0, restored.output
        assert "rows of http://localhost:5000 were restored, as they were on 2026-03-02 09:30 UTC" in restored.stdout
        assert "idp audit verify" in restored.stdout

        again = run(app_on_empty_database, "db", "restore", str(file))
        assert again.exit_code == 1
        assert "restore into a new and empty one" in again.stderr


def test_the_file_of_a_sqlite_database_can_be_read_by_its_owner_only(tmp_path):
    previous = os.umask(0o022)
    try:
        create_app(load(database={"url": f"sqlite:///{tmp_path}/folder/idp.sqlite3"}))
    finally:
        os.umask(previous)
    (made,) = (tmp_path / "folder").iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert Path(made).name == "idp.sqlite3"
