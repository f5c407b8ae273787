"""Tampering with the log is detected and reported. Each test changes a real database, whose triggers it removes."""

import json
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from idp import worker
from idp.audit import chain, checkpoints, log
from idp.audit.cli import commands
from idp.audit.models import Checkpoint, Details, Entry


def our_key():
    """The key with which entries are linked now."""
    return next(chain._keys())


DELETE_DETAILS = "DELETE FROM audit_details"


@pytest.fixture
def find_discrepancies(transaction, sealed):
    """`find_discrepancies()`: position, entry and description of each discrepancy in the whole chain."""

    def verify(**options):
        with transaction():
            return [
                (discrepancy.position, discrepancy.entry, discrepancy.what)
                for discrepancy in chain.verify(**{"from_start": True} | options).discrepancies
            ]

    return verify


def entry_at(transaction, position):
    with transaction() as session:
        return session.scalars(select(Entry.id).where(Entry.position == position)).one()


def test_entries_are_sealed_once_in_order(transaction, sealed):
    with transaction() as session:
        rows = session.execute(select(Entry.id, Entry.position).order_by(Entry.id)).all()
        assert [position for _, position in rows] == list(range(1, 10))
        assert chain.seal() == 0


def test_an_intact_chain_verifies_and_reports_how_much_was_checked(transaction, find_discrepancies):
    with transaction():
        log.record("estab.registered", by="adm_jo")
        report = chain.verify()
    assert (report.begins, report.ends, report.checked, report.waiting, report.discrepancies) == (1, 9, 9, 1, [])


def test_sealing_continues_where_it_stopped(transaction, find_discrepancies):
    with transaction():
        for _ in range(5):
            log.record("estab.registered", by="adm_jo")
        assert chain.seal(limit=3) == 3
        assert chain.seal(limit=3) == 2
    assert find_discrepancies() == []


def test_several_workers_sealing_at_once_make_one_chain(transaction, find_discrepancies, run_concurrently):
    with transaction():
        for _ in range(20):
            log.record("estab.registered", by="adm_jo")
    outcomes = run_concurrently(6, chain.seal)
    assert sum(outcomes) == 20
    assert find_discrepancies() == []


@pytest.mark.parametrize(
    "change",
    ["actor = 'adm_other'", "event = 'x.y'", "at = '2020-01-01 00:00:00'", "estab = NULL", "facts = '{\"number\": 99}'",
     "subject = 'adm_x'", "client = 'theirs'", "details_digest = NULL"],
)  # fmt: skip
def test_an_edited_entry_is_found(transaction, find_discrepancies, tamper, change):
    tamper(f"UPDATE audit_entries SET {change} WHERE position = 5")
    (discrepancy,) = find_discrepancies()
    assert discrepancy[:2] == (5, entry_at(transaction, 5))
    assert "altered" in discrepancy[2]


def test_an_edited_entry_with_a_new_hash_is_found_by_the_entry_after_it(transaction, find_discrepancies, tamper):
    with transaction() as session:
        before = session.scalars(select(Entry.chained).where(Entry.position == 4)).one()
    tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
    with transaction() as session:
        row = session.connection().execute(select(Entry.__table__).where(Entry.position == 5)).one()
        forged = chain.link(before, 5, row, our_key())
    tamper("UPDATE audit_entries SET chained = :forged WHERE position = 5", forged=forged)
    assert [discrepancy[:2] for discrepancy in find_discrepancies()] == [(6, entry_at(transaction, 6))]


def forge_from(transaction, tamper, position, *, keyed=True):
    """Compute all links from `position` on again, as an attacker with our code and our sealing key would."""
    with transaction() as session:
        key = our_key() if keyed else None
        chained = session.scalars(select(Entry.chained).where(Entry.position == position - 1)).first() or bytes(32)
        rows = session.connection().execute(
            select(Entry.__table__).where(Entry.position >= position).order_by(Entry.position)
        ).all()  # fmt: skip
    for row in rows:
        chained = chain.link(chained, row.position, row, key)
        tamper("UPDATE audit_entries SET chained = :chained WHERE id = :id", chained=chained, id=row.id)


def test_a_chain_with_new_hashes_to_its_end_is_found_by_the_checkpoint(transaction, find_discrepancies, tamper):
    with transaction():
        chain.checkpoint()
    tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
    forge_from(transaction, tamper, 5)
    (discrepancy,) = find_discrepancies()
    assert discrepancy[:2] == (9, entry_at(transaction, 9))
    assert "sealed anew" in discrepancy[2]
    assert find_discrepancies(from_start=False)[0][0] == 9


def test_a_deleted_entry_is_found(transaction, find_discrepancies, tamper):
    tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position = 5")
    (discrepancy,) = find_discrepancies()
    assert discrepancy[:2] == (5, None)
    assert f"5 is gone from before entry {entry_at(transaction, 6)}" in discrepancy[2]


def test_deleted_first_entries_are_found(transaction, find_discrepancies, tamper):
    tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position < 4")
    (discrepancy,) = find_discrepancies()
    assert "1 to 3 are gone" in discrepancy[2]


def test_a_deleted_entry_whose_gap_was_closed_is_found(transaction, find_discrepancies, tamper):
    tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position = 5")
    for position in (6, 7, 8, 9):
        tamper(f"UPDATE audit_entries SET position = {position - 1} WHERE position = {position}")
    assert find_discrepancies()[0][:2] == (5, entry_at(transaction, 5))


def test_two_swapped_entries_are_found(transaction, find_discrepancies, tamper):
    tamper(
        "UPDATE audit_entries SET position = 99 WHERE position = 4",
        "UPDATE audit_entries SET position = 4 WHERE position = 6",
        "UPDATE audit_entries SET position = 6 WHERE position = 99",
    )
    assert {discrepancy[0] for discrepancy in find_discrepancies()} >= {4, 6}
    assert (4, entry_at(transaction, 4)) in [discrepancy[:2] for discrepancy in find_discrepancies()]


def test_an_inserted_entry_is_found(transaction, find_discrepancies, tamper):
    tamper(
        "UPDATE audit_entries SET position = 99 WHERE position = 9",
        "INSERT INTO audit_entries (id, at, event, actor, facts, position, chained)"
        " SELECT 500, at, event, 'adm_other', facts, 9, chained FROM audit_entries WHERE position = 8",
    )
    assert (9, 500) in [discrepancy[:2] for discrepancy in find_discrepancies()]


def test_a_chain_that_was_cut_off_is_found_by_its_checkpoint(transaction, find_discrepancies, tamper):
    with transaction():
        chain.checkpoint()
    tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position > 6")
    for from_start in (True, False):
        (discrepancy,) = find_discrepancies(from_start=from_start)
        assert discrepancy[:2] == (9, None)
        assert "cut off" in discrepancy[2]


def test_a_chain_cut_off_with_its_checkpoint_is_found_by_an_exported_checkpoint(
    transaction, find_discrepancies, tamper
):
    with transaction() as session:
        chain.checkpoint()
        line = checkpoints.line(session.get_one(Checkpoint, 9))
    tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position > 6", "DELETE FROM audit_checkpoints")
    assert find_discrepancies() == []
    with transaction():
        exported = checkpoints.parse(line)
    assert [discrepancy[0] for discrepancy in find_discrepancies(external=[exported])] == [9]


def test_a_checkpoint_that_was_forged_is_found_and_not_relied_upon(transaction, find_discrepancies, tamper):
    with transaction():
        chain.checkpoint()
    tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 9")
    forge_from(transaction, tamper, 9)
    with transaction() as session:
        chained = session.scalars(select(Entry.chained).where(Entry.position == 9)).one()
    tamper("UPDATE audit_checkpoints SET chained = :chained", chained=chained)
    for from_start in (True, False):
        (discrepancy,) = find_discrepancies(from_start=from_start)
        assert discrepancy[0] == 9
        assert "signature" in discrepancy[2]


def test_erasing_personal_details_leaves_the_chain_valid(transaction, find_discrepancies):
    with transaction() as session:
        assert session.query(Details).delete() > 0
    assert find_discrepancies() == []


def test_altered_details_are_found(transaction, find_discrepancies, tamper):
    changed = entry_at(transaction, 7)
    tamper('UPDATE audit_details SET said = \'{"name": "Al"}\' WHERE entry_id = :id', id=changed)
    assert [discrepancy[:2] for discrepancy in find_discrepancies()] == [(7, changed)]


def test_details_added_to_an_entry_without_any_are_found(transaction, find_discrepancies, tamper):
    with transaction() as session:
        without_details = session.execute(
            select(Entry.id, Entry.position).where(Entry.details_digest.is_(None))
        ).first()
        session.add(Details(entry_id=without_details.id, salt=b"x", said={"name": "Al"}))
    assert [discrepancy[:2] for discrepancy in find_discrepancies()] == [(without_details.position, without_details.id)]


def append(transaction, times):
    """Record this number of entries, and seal them."""
    with transaction():
        for _ in range(times):
            log.record("estab.registered", by="adm_jo")
        chain.seal()


class TestKeyedLinks:
    def test_entries_after_the_newest_checkpoint_that_are_linked_without_our_key_are_found(
        self, transaction, find_discrepancies, tamper
    ):
        with transaction():
            chain.checkpoint()
        append(transaction, 4)
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 11")
        forge_from(transaction, tamper, 11, keyed=False)
        assert [discrepancy[0] for discrepancy in find_discrepancies()] == [11, 12, 13]
        assert [discrepancy[0] for discrepancy in find_discrepancies(from_start=False)] == [11, 12, 13]
        assert "without our key" in find_discrepancies()[0][2]

    def test_an_entry_appended_without_the_key_is_detected_after_further_sealing(
        self, transaction, find_discrepancies, tamper
    ):
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 9")
        forge_from(transaction, tamper, 9, keyed=False)
        append(transaction, 2)
        assert [discrepancy[0] for discrepancy in find_discrepancies()] == [9]
        with transaction() as session:
            assert session.scalars(select(Checkpoint)).all() == []

    def test_a_chain_begun_without_keys_continues_keyed_and_its_start_is_signed(
        self, transaction, find_discrepancies, tamper
    ):
        forge_from(transaction, tamper, 1, keyed=False)
        assert [discrepancy[0] for discrepancy in find_discrepancies()] == list(range(1, 10))
        append(transaction, 2)
        with transaction() as session:
            assert session.scalars(select(Checkpoint.position)).all() == [9]
        assert find_discrepancies() == []
        assert find_discrepancies(from_start=False) == []
        append(transaction, 2)
        with transaction() as session:
            assert session.scalars(select(Checkpoint.position)).all() == [9]

    def test_unkeyed_entries_cannot_be_rewritten_once_their_end_is_signed(
        self, transaction, find_discrepancies, tamper
    ):
        forge_from(transaction, tamper, 1, keyed=False)
        append(transaction, 2)
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
        forge_from(transaction, tamper, 5, keyed=False)
        assert {discrepancy[0] for discrepancy in find_discrepancies()} == {9, 10, 11}

    def test_unkeyed_entries_that_were_tampered_with_are_not_signed(self, transaction, find_discrepancies, tamper):
        forge_from(transaction, tamper, 1, keyed=False)
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
        append(transaction, 1)
        with transaction() as session:
            assert session.scalars(select(Checkpoint)).all() == []
        assert find_discrepancies()

    def test_a_new_sealing_key_continues_the_chain(self, transaction, find_discrepancies, settings, change_settings):
        change_settings(secrets={"sealing": {"new": b"n" * 32, **settings.secrets.sealing}})
        append(transaction, 3)
        assert find_discrepancies() == []


class TestExportedCheckpoints:
    @pytest.fixture
    def file(self, change_settings, scratch):
        path = scratch / "kept" / "checkpoints"
        change_settings(audit={"checkpoints": str(path)})
        return path

    def test_the_worker_finds_by_exported_checkpoints_what_was_cut_off(self, app, transaction, sealed, file, tamper):
        worker.sign_checkpoint(transaction)
        append(transaction, 2)
        worker.sign_checkpoint(transaction)
        assert len(file.read_text().splitlines()) == 2
        worker.verify_audit(transaction)
        tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position > 9", "DELETE FROM audit_checkpoints")
        with pytest.raises(chain.TamperedChain, match="cut off"):
            worker.verify_audit(transaction)
        result = CliRunner().invoke(commands, ("verify",), obj=lambda: app)
        assert "cut off" in result.stdout

    def test_the_worker_verifies_the_whole_chain_each_night(self, transaction, sealed, file, tamper):
        worker.sign_checkpoint(transaction)
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 3")
        with pytest.raises(chain.TamperedChain, match="position 3"):
            worker.verify_audit(transaction)
        (job,) = [job for job in worker.JOBS if job.run is worker.verify_audit]
        assert job.every == timedelta(days=1)

    def test_a_line_in_the_file_without_our_signature_is_reported(self, transaction, sealed, file):
        worker.sign_checkpoint(transaction)
        file.write_text("audit1.1.1.aa.k.s\n")
        with pytest.raises(checkpoints.NotACheckpoint):
            worker.verify_audit(transaction)


class TestCheckpoints:
    def test_a_checkpoint_is_written_only_after_new_entries(self, transaction, sealed):
        with transaction():
            assert chain.checkpoint() is not None
            assert chain.checkpoint() is None
            log.record("estab.registered", by="adm_jo")
            chain.seal()
            assert chain.checkpoint() is not None

    def test_an_empty_chain_has_no_checkpoint(self, transaction, tamper):
        tamper(DELETE_DETAILS, "DELETE FROM audit_entries")
        with transaction():
            assert chain.checkpoint() is None

    def test_a_chain_that_was_tampered_with_is_not_signed(self, transaction, sealed, tamper):
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
        with transaction(), pytest.raises(chain.TamperedChain, match="position 5"):
            chain.checkpoint()

    def test_verification_begins_at_the_newest_checkpoint(self, transaction, sealed):
        with transaction():
            chain.checkpoint()
            for _ in range(3):
                log.record("estab.registered", by="adm_jo")
            chain.seal()
            report = chain.verify()
        assert (report.begins, report.checked, report.ends) == (9, 4, 12)

    def test_a_checkpoint_is_read_from_a_log_line(self, transaction, sealed):
        with transaction() as session:
            line = chain.checkpoint()
            stored = session.get_one(Checkpoint, 9)
            checkpoint = checkpoints.parse(f"  {line}\n")
            assert (checkpoint.position, checkpoint.chained, checkpoint.at) == (9, stored.chained, stored.at)

    @pytest.mark.parametrize("part", range(6))
    def test_a_changed_checkpoint_line_is_refused(self, transaction, sealed, part):
        with transaction():
            parts = str(chain.checkpoint()).split(".")
            parts[part] = {0: "audit2", 1: "8", 2: "1", 3: "AAAA", 4: "other", 5: "AAAA"}[part]
            with pytest.raises(checkpoints.NotACheckpoint):
                checkpoints.parse(".".join(parts))

    @pytest.mark.parametrize(
        "line", ["", "x", "audit1.....", "audit1.x.1.a.k.s", "audit1.1.99999999999999999.a.k.s", "é" * 9]
    )
    def test_a_text_that_is_not_a_checkpoint_is_refused(self, transaction, line):
        with transaction(), pytest.raises(checkpoints.NotACheckpoint):
            checkpoints.parse(line)

    def test_a_signature_of_another_installation_is_refused(self, transaction, sealed, change_settings):
        with transaction():
            line = str(chain.checkpoint())
        change_settings(secrets={"sealing": {"test": bytes(32)}})
        with transaction(), pytest.raises(checkpoints.NotACheckpoint):
            checkpoints.parse(line)


class TestCommands:
    @pytest.fixture
    def idp(self, app, sealed):
        """`idp("verify")` runs `idp audit verify`; returns its result."""
        return lambda *arguments: CliRunner().invoke(commands, arguments, obj=lambda: app)

    def test_verify_reports_an_intact_chain(self, idp):
        result = idp("verify", "--from-start")
        assert result.exit_code == 0
        assert "Verified from position 1 to 9" in result.stdout
        assert "no discrepancies" in result.stdout

    def test_verify_names_the_entry_that_was_altered_and_fails(self, idp, tamper, transaction):
        tamper("UPDATE audit_entries SET actor = 'adm_other' WHERE position = 5")
        result = idp("verify")
        assert result.exit_code == 1
        assert f"Position 5, entry {entry_at(transaction, 5)}: altered" in result.stdout
        discrepancies = json.loads(idp("verify", "--json").stdout)["discrepancies"]
        assert [(discrepancy["position"], discrepancy["entry"]) for discrepancy in discrepancies] == [
            (5, entry_at(transaction, 5))
        ]

    def test_verify_accepts_an_exported_checkpoint(self, idp, tamper, transaction):
        with transaction():
            line = chain.checkpoint()
        tamper(DELETE_DETAILS, "DELETE FROM audit_entries WHERE position > 6", "DELETE FROM audit_checkpoints")
        assert idp("verify").exit_code == 0
        assert "cut off" in idp("verify", "--checkpoint", line).stdout
        refused = idp("verify", "--checkpoint", "nonsense")
        assert refused.exit_code == 1
        assert "not a checkpoint that we signed" in refused.stderr

    def test_list_filters_and_shows_details_only_when_asked(self, idp):
        output = idp("list", "--estab", "est_oak", "--event", "estab").stdout
        assert output.count("estab.registered") > 3
        assert "Jo 0" not in output
        assert "Jo 0" in idp("list", "--estab", "est_oak", "--details").stdout
        assert idp("list", "--estab", "unknown").stdout == "No entry matches.\n"
        rows = json.loads(idp("list", "--actor", "adm_jo", "--limit", "2", "--json").stdout)
        assert [row["actor"] for row in rows] == ["adm_jo", "adm_jo"]
        assert idp("list", "--since", "2999-01-01").stdout == "No entry matches.\n"
        assert re.search(r"id\s+at\s+event\s+actor", output)


def test_triggers_protect_the_audit_tables_in_the_database(transaction):
    with transaction() as session:
        if session.get_bind().dialect.name == "sqlite":
            triggers = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
        else:
            triggers = session.scalars(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).all()
    assert {"audit_entries_only_sealed", "audit_entries_kept", "audit_checkpoints_kept"} <= set(triggers)
