"""The output of the commands."""

import json
from datetime import UTC, date, datetime, timedelta, timezone

from idp.foundation import command

ROW = {"at": datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "on": date(2026, 3, 2), "who": frozenset({"b", "a"}), "so": True}


def test_times_in_a_table_have_their_time_zone(capsys):
    command.show([ROW], ["at", "on", "who", "so"], as_json=False, empty="Nothing.")

    assert capsys.readouterr().out.splitlines()[1].split("  ") == [
        "2026-03-02 09:30 UTC (09:30 GMT)", "2026-03-02", "a b", "yes",
    ]  # fmt: skip


def test_times_of_other_zones_are_shown_in_utc(capsys):
    row = {"at": datetime(2026, 7, 2, 9, 30, tzinfo=timezone(timedelta(hours=1)))}
    command.show([row], ["at"], as_json=False, empty="Nothing.")

    assert "2026-07-02 08:30 UTC" in capsys.readouterr().out


def test_json_has_times_in_iso_8601(capsys):
    command.show([ROW], ["at"], as_json=True, empty="Nothing.")

    assert json.loads(capsys.readouterr().out)[0]["at"] == "2026-03-02T09:30:00+00:00"
