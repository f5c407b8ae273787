"""The record a school keeps of who receives its data."""

import csv
import io
from datetime import UTC, datetime, timedelta

from idp.foundation import clock as clocks
from idp.sharing import authorise, processing_record
from tests.factories import a_client, a_partner, an_administrator

SCOPES = frozenset({"openid", "students", "students.sen"})


def agree(owner, **overrides):
    client = a_client(a_partner(**overrides.pop("partner", {})), **overrides)
    until = authorise.default_end(client)
    how = {"agreement_version": client.agreement_version, "until": until, "second_step": True}
    return authorise.give(client, SCOPES, by=owner.memberships[0], **how)


def test_the_record_names_recipients_categories_dates_and_agreements(transaction, clock):
    with transaction():
        owner = an_administrator()
        agree(owner, partner={"name": "Assembly"})
        (row,) = processing_record.rows(owner.memberships[0].estab_id)

    assert row["Recipient"] == "Assembly"
    assert row["Categories of data"] == "Who is signing in; Pupils; Pupils: special educational needs"
    assert row["Special category data"] == "Pupils: special educational needs"
    assert (row["Since"], row["Until"], row["State"]) == ("2026-03-02", "2027-03-02", "active")
    assert (row["Authorised by"], row["Agreement version"]) == ("Jo Bloggs", "2026-01")


def test_dates_in_the_record_are_in_british_time(transaction):
    with clocks.fixed(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)), transaction():
        owner = an_administrator()
        agree(owner)
        (row,) = processing_record.rows(owner.memberships[0].estab_id)

    assert (row["Since"], row["Until"]) == ("2026-07-02", "2027-07-02")


def test_the_record_has_paused_sharing_and_not_what_was_stopped(transaction, clock):
    with transaction():
        owner = an_administrator()
        stopped, paused = agree(owner), agree(owner)
        authorise.withdraw(owner.memberships[0].estab_id, stopped.client_id, by=owner.memberships[0])
        authorise.pause(owner.memberships[0].estab_id, paused.client_id, by=owner.memberships[0])

        assert [row["State"] for row in processing_record.rows(owner.memberships[0].estab_id)] == ["paused"]


def test_no_cell_is_read_as_a_formula(transaction, clock):
    hostile = "=HYPERLINK(\"https://evil.example\"), 'quoted'\nand more"
    with transaction():
        owner = an_administrator(name="@SUM(1)")
        agree(owner, client_name=hostile, purpose="-1+1", partner={"name": "+44"})
        head, row = csv.reader(io.StringIO(processing_record.as_csv(owner.memberships[0].estab_id)))

    assert tuple(head) == processing_record.COLUMNS
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert row[1] == f"'{hostile}"


def test_a_change_keeps_the_date_since_when_a_service_receives_data(transaction, clock):
    with transaction():
        owner = an_administrator()
        agreed = agree(owner)
    clock.move(timedelta(days=10))
    with transaction():
        fewer = agreed.scopes - {"students.sen"}
        authorise.change(agreed.estab_id, agreed.client_id, fewer, by=owner.memberships[0])
        (row,) = processing_record.rows(agreed.estab_id)

    assert (row["Since"], row["Special category data"]) == ("2026-03-02", "none")
