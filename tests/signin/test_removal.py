"""What is ended with a person's membership of a school, and with their last one."""

from idp.estabs.models import Membership
from idp.signin import devices, factors, removal
from idp.signin.models import BrowserSession
from tests.factories import a_membership, an_administrator
from tests.signin.apps import an_app
from tests.signin.person import Person


def test_sessions_factors_and_known_browsers_end_with_the_last_membership_and_not_before(
    transaction, new_browser, clock
):
    with transaction():
        owner, sam = an_administrator(username="jo"), an_administrator(username="sam", email="sam@oakhill.example")
        sam_id, estab = sam.id, sam.memberships[0].estab
        first, second = estab.id, a_membership(sam, owner.memberships[0].estab).estab_id
        a_membership(an_administrator(username="al", email="al@oakhill.example"), estab)
    for _ in range(2):
        browser = Person(new_browser())
        browser.sign_in("sam")  # and does not choose a school yet
    with transaction() as session:
        an_app(sam_id)
        removal.remove(session.get_one(Membership, (sam_id, second)), by="cli", note="Called the office.")
        assert factors.has_any(sam_id)
        assert devices.has_any(sam_id)
        assert [row.ended_at for row in session.query(BrowserSession)] == [None, None]
    with transaction() as session:
        removal.remove(session.get_one(Membership, (sam_id, first)), by="cli", note="Called the office.")
        session.flush()
        assert not factors.has_any(sam_id)
        assert not devices.has_any(sam_id)
        assert {row.why_ended for row in session.query(BrowserSession)} == {"removed"}
