"""The page on which our staff see the imports of the national register, and what changed about schools."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete

from idp.schools.models import RegisterImport, SchoolChange
from tests.factories import a_school, an_estab

PAGE = "/operate/register"


def record_change(kind, state="verified", details=None, **school):
    """Record a change of a school whose account is in this state; it has none if `state` is empty."""
    row = a_school(**school)
    if state:
        an_estab(row, state=state)
    return SchoolChange(
        school_id=row.id, import_id=row.last_seen_in, kind=kind, details=details or {}, told_at=None,
    )  # fmt: skip


def test_the_last_imports_are_listed(operator, transaction, clock):
    with transaction() as session:
        a_school()  # and with it the import of today
        counts = {"added": 7, "changed": 312, "closed": 4, "reopened": 1, "left": 2}
        session.add(
            RegisterImport(source="edubase.csv", dated=date(2026, 2, 27), imported_at=clock.now(), rows=52001, **counts)
        )
    operator.open("/operate")
    operator.open(operator.page.find("a", string="National register")["href"])
    assert "from the file of 27 February 2026: 52,001 schools" in operator.page_text
    assert "There are none that may need a call" in operator.page_text
    newest = operator.page.select("table tbody tr")[0].get_text(" ", strip=True)
    assert newest.endswith("27 February 2026 52,001 7 312 4 1 2")


def test_changes_of_schools_with_an_account_are_listed_and_no_others(operator, transaction):
    with transaction() as session:
        session.add_all(
            [
                record_change("closed", name="Oak Hill School"),
                record_change("changed", details={"name": ["Ash School", "Ash Academy"]}, name="Ash Academy"),
                record_change("closed", state="", name="School without an account"),
                record_change("closed", state="rejected", name="Rejected School"),
                record_change("changed", details={"town": ["A", "B"]}, name="School that moved"),
                record_change("added", name="New School"),
            ]
        )
    operator.open(PAGE)
    names = [cell.text for cell in operator.page.select("table")[0].select("tbody th")]
    assert names == ["Ash Academy", "Oak Hill School"]
    assert "Is closed in the register" in operator.page_text
    assert "Name was Ash School, and is Ash Academy" in operator.page_text


@pytest.mark.parametrize(("days", "is_warned"), [(7, False), (8, True)])
def test_an_import_of_more_than_a_week_ago_is_a_warning(operator, transaction, clock, days, is_warned):
    with transaction() as session:
        a_school()
        session.query(RegisterImport).update({"imported_at": clock.now() - timedelta(days=days)})
    operator.open(PAGE)
    assert ("cannot be found until it is imported again" in operator.page_text) is is_warned


def test_without_an_import_the_page_says_how_to_make_one(operator, transaction):
    with transaction() as session:
        session.execute(delete(RegisterImport))
    operator.open(PAGE)
    assert "The register was never imported" in operator.page_text
    assert "idp schools refresh --download" in operator.page_text
