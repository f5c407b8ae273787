"""Our staff check a new school on the phone, on the pages at /operate."""

from uuid import uuid4

import pytest
from sqlalchemy import select

from idp.estabs import people
from idp.estabs.permissions import VIEWER
from idp.schools.models import School, SchoolChange
from idp.sharing import authorise
from tests.browser.code_accounts import sign_in
from tests.code_accounts import an_operator
from tests.factories import a_client, an_administrator


@pytest.fixture
def operator(transaction, new_window, issuer):
    """The window of one of our staff, signed in."""
    with transaction():
        operator, seed = an_operator(f"{uuid4().hex}@idaas.example")  # the database is the module's
        email = operator.email
    page = new_window()
    sign_in(page, f"{issuer}/operate/sign-in", email, seed)
    return page


def test_a_new_school_is_checked_by_keyboard(operator, a_member, check_page):
    jo = a_member(state="unverified", name="Jo Bloggs")
    operator.get_by_role("link", name="Schools to check").press("Enter")
    operator.get_by_role("link", name=jo.school.name).wait_for()
    check_page(operator, "operator-schools")
    operator.get_by_role("link", name=jo.school.name).press("Enter")
    operator.get_by_text("Call the school, by the register").wait_for()
    operator.get_by_label("Keep a note").press(" ")
    operator.get_by_label("Note, question or reason").fill("The office is closed until Monday.")
    operator.locator("#continue").press("Enter")
    operator.get_by_text("The note has been kept.").wait_for()
    operator.locator("#continue").press("Enter")
    operator.get_by_text("Choose what to do").first.wait_for()
    check_page(operator, "operator-school")
    operator.get_by_label("Verify the school").press(" ")
    operator.locator("#continue").press("Enter")
    operator.get_by_text("has been verified. Its owners are told by e-mail.").wait_for()
    jo.open("/manage")
    jo.sign_in()
    jo.expect_text("Verified")


def test_the_imports_of_the_register_are_read(operator, a_member, transaction, check_page):
    jo = a_member()
    with transaction() as session:
        school = session.scalars(select(School).where(School.name == jo.school.name)).one()
        session.add(
            SchoolChange(school_id=school.id, import_id=school.last_seen_in, kind="closed", details={}, told_at=None)
        )
    operator.get_by_role("link", name="National register").click()
    operator.get_by_text("Is closed in the register").wait_for()
    check_page(operator, "operator-register")


def test_a_colleague_who_cannot_sign_in_is_helped_by_keyboard(operator, a_member, transaction, check_page):
    jo = a_member(name="Jo Bloggs", state="unverified")
    with transaction():
        member = people.by_name(jo.email).memberships[0]
        an_administrator(
            member.estab, name="Ann Other", email="ann@other.example", username="ann", role=VIEWER
        ).password_hash = None
        client = a_client(client_name="Timetabler")
        authorise.give(
            client, client.required_scopes, by=member, agreement_version="1", until=authorise.default_end(client),
            second_step=True,
        )  # fmt: skip
    operator.get_by_role("link", name="Find an account").press("Enter")
    operator.get_by_label("School, or a person who acts for it").fill("no such school")
    operator.keyboard.press("Enter")
    operator.get_by_text("No account matches").wait_for()
    check_page(operator, "operator-accounts")
    operator.get_by_label("School, or a person who acts for it").fill(jo.email)
    operator.keyboard.press("Enter")
    operator.get_by_text("Call the school, by the register").wait_for()
    check_page(operator, "operator-account")
    operator.get_by_role("link", name="Jo Bloggs").press("Enter")
    operator.get_by_label("E-mail a link to choose a new password").press(" ")
    operator.locator("#continue").press("Enter")
    operator.get_by_text("Say whom you called").first.wait_for()
    check_page(operator, "operator-account-person")
    operator.get_by_label("Whom you called and spoke with, or why").fill("Called the office.")
    operator.locator("#continue").press("Enter")
    operator.get_by_text(f"A link to choose a new password is on its way to {jo.email}.").wait_for()


def test_no_link_is_cut_off_or_touches_a_field_in_a_window_of_320_pixels(operator, issuer):
    operator.set_viewport_size({"width": 320, "height": 640})
    operator.goto(f"{issuer}/operate/accounts")
    link = operator.locator(".account").get_by_role("link", name="Operators' pages")
    assert link.evaluate("link => link.scrollWidth <= link.clientWidth")
    field, below = operator.locator("#q").bounding_box(), operator.locator("main > p a").bounding_box()
    assert below["y"] - (field["y"] + field["height"]) >= 16
