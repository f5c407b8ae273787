"""Our mails carry no stranger's message: while a school is unverified, nothing that its people typed is sent.

Each mail there is has its line here: what makes us write it for an unverified school, or why that never happens. The
values are put into the rows as no form would take them, so this holds even where a form lets one through.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from idp.estabs import links, members, person_invitations
from idp.estabs.models import Administrator, Membership, PersonalSecret, PersonInvitation
from idp.federation import linking, providers
from idp.federation.id_token import Identity
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.setting_types import ROOT
from idp.invitations import answer, invite
from idp.invitations.mailing import Recipient
from idp.onboarding import add_school, join, review, signup
from idp.onboarding.models import JoinRequest
from idp.outbox import post
from idp.outbox.models import Message
from idp.partners import registry
from idp.partners.models import Client
from idp.schools import codes
from idp.sharing import authorise, closures, expiry, mis, reviewing, reviews
from idp.signin import (
    devices,
    email_change,
    factor_recovery,
    factors,
    mobile_change,
    passkeys,
    password,
    recovery_codes,
    reset,
    reset_links,
    second_step_rule,
    undo_changes,
)
from idp.signin.models import FactorRecovery, KnownDevice, Passkey
from tests import factories
from tests.onboarding import registrations
from tests.signin import authenticator

HOSTILE = "Your refund is waiting at evil-bank.example"
MAILS = {path.stem for path in (ROOT / "idp/templates/mail").glob("*.txt")} - {"base"}


def an_invitation(*, accepted: bool = False) -> None:
    owner, secret = an_owner(), crypto.new_secret()
    other = {"name": HOSTILE, "username": "second", "email": "second@oakhill.example"}
    factories.an_administrator(owner.memberships[0].estab, **other)
    invited = person_invitations.invite(HOSTILE, "al@oakhill.example", "admin", by=owner.memberships[0])
    invited.digest = crypto.digest(secret)
    session().flush()
    if accepted:
        person_invitations.accept_as_new(secret, name=HOSTILE, mobile="+447700900124")


def an_invitation_reminded_of() -> None:
    an_invitation()
    invited = session().scalars(select(PersonInvitation)).one()
    invited.expires_at = clock.now() + timedelta(hours=1)
    session().flush()
    person_invitations.remind_due()


def a_change_of_people(change: Callable[[Membership, Membership], object]) -> Callable[[], None]:
    """Actions of an owner about another person; a third person is also an owner, and is told."""

    def changed() -> None:
        owner = an_owner().memberships[0]
        for name in ("second", "third"):
            other = {"name": HOSTILE, "username": name, "email": f"{name}@oakhill.example"}
            member = factories.an_administrator(owner.estab, **other).memberships[0]
        change(member, owner)

    return changed


def an_owner() -> Administrator:
    """Of an unverified school that is under review."""
    estab = factories.an_estab(state="unverified")
    person = factories.an_administrator(estab, name=HOSTILE, mobile=HOSTILE)
    review.open_for(estab)
    return person


def a_registration() -> None:
    registrations.a_registration(name=HOSTILE, mobile=HOSTILE)


def a_school_completed_with_a_message() -> None:
    registration = registrations.a_registration(name=HOSTILE)
    registration.name = HOSTILE
    registrations.verify_address(registration)
    signup.complete(
        registration,
        registrations.details(name=HOSTILE),
        registrations.generated_password(),
        browser=registrations.OWN_BROWSER,
    )


def a_request_to_join() -> JoinRequest:
    owner = an_owner()
    registrations.complete(
        registrations.a_registration(owner.memberships[0].estab.school, name=HOSTILE, email="b@oakhill.example")
    )
    join_request = session().scalars(select(JoinRequest)).one()
    join_request.name = HOSTILE
    return join_request


def a_joiner() -> None:
    join.approve(a_request_to_join(), "admin", by="cli")


def a_school_added() -> None:
    add_school.complete(factories.a_school(), an_owner(), browser=registrations.OWN_BROWSER, return_to=None)


def a_joiner_with_an_account() -> None:
    school, person = an_owner().memberships[0].estab.school, an_owner()
    add_school.complete(school, person, browser=registrations.OWN_BROWSER, return_to=None)
    join.approve(session().scalars(select(JoinRequest)).one(), "admin", by="cli")


def a_joiner_turned_away() -> None:
    join.decline(a_request_to_join(), by="cli")


def a_lost_welcome() -> None:
    estab = an_owner().memberships[0].estab
    person = factories.an_administrator(estab, name=HOSTILE, username="second", role="admin", password_hash=None)
    links.resend_welcome(links.issue_welcome_url(person).rpartition("/")[2])


def a_new_computer(times: int = 1) -> None:
    person = an_owner()
    session().add(KnownDevice(digest=b"known", person_id=person.id, expires_at=clock.now() + timedelta(days=1)))
    session().flush()
    for _ in range(times):
        password.notify_new_device(person, device=None, browser=devices.describe(f"{HOSTILE} Firefox/140.0"))


def many_new_computers() -> None:
    a_new_computer(password.MAX_NOTICES + 1)


def another_password() -> None:
    password.change(an_owner(), "hash", by="adm_x")


def wrong_passwords() -> None:
    username = an_owner().username
    for _ in range(runtime.settings().throttle.account_guesses):
        session().commit()  # the password is compared outside of any transaction
        with suppress(password.WrongPassword):
            password.check(username, "wrong", device=None, address=None)


def a_reset(*, confirmed: bool = True) -> str:
    person = an_owner()
    person.mobile, person.mobile_confirmed_at = "+447700900123", clock.now() if confirmed else None
    return reset.begin(person.username, device=None)


def a_reset_by_a_colleague() -> None:
    current = reset.find_by_browser(a_reset())
    assert current is not None
    person = session().get_one(Administrator, current.person_id)
    other = {"name": HOSTILE, "username": "second", "email": "second@oakhill.example"}
    factories.an_administrator(person.memberships[0].estab, **other)
    current.proven_at = person.password_changed_at = current.created_at
    secret = crypto.new_secret()
    current.browser = crypto.digest(secret)
    session().flush()
    reset.complete(secret, "hash", device=None)


def a_factor(change: Callable[[Administrator, factors.FactorKind], None]) -> Callable[[], None]:
    return lambda: change(an_owner(), factors.APP)


def a_recovery_code() -> None:
    person = an_owner()
    assert recovery_codes.spend(person.id, recovery_codes.make(person)[0])


def another_address() -> Administrator:
    person = an_owner()
    email_change.begin(person, "new@oakhill.example")
    link = session().query(PersonalSecret).filter_by(purpose=email_change.PURPOSE).one()
    secret = crypto.new_secret()
    link.digest = crypto.digest(secret)
    session().flush()
    email_change.confirm(secret, person)
    return person


def another_number() -> None:
    person = an_owner()
    person.mobile, person.mobile_confirmed_at = "+447700900123", clock.now()
    mobile_change.begin(person, "+447700900999")
    session().flush()
    text = post.unseal(session().scalars(select(Message).where(Message.name == "mobile_code")).one()).text
    mobile_change.confirm(person, re.findall(r"\d{6}", text)[0])


def changes_taken_back() -> None:
    link = undo_changes.issue(another_address())
    undo_changes.undo(link.rpartition("/")[2])


def a_lost_factor() -> None:
    factor_recovery.start(an_owner(), by="cli", note="Called the office.")


def a_factor_recovered() -> None:
    a_lost_factor()
    recovery = session().query(FactorRecovery).one()
    recovery.due_at = clock.now()
    session().flush()
    factor_recovery.complete(recovery.person_id)


def a_factor_found() -> None:
    a_lost_factor()
    session().flush()
    factor_recovery.stop_for(session().query(FactorRecovery).one().person_id)


def a_copied_passkey() -> None:
    device = authenticator.a_passkey(an_owner().id, runtime.settings().server.issuer, counts=False)
    for passkey in session().scalars(select(Passkey)):
        passkey.name, passkey.sign_count = HOSTILE, 5
    session().flush()
    response = passkeys.read(device.get(passkeys.sign_in_options(browser=authenticator.BROWSER)))
    with suppress(passkeys.PasskeyCopied):
        passkeys.verify_use(response, passkeys.SIGN_IN, browser=authenticator.BROWSER)


def something_authorised() -> tuple[str, Administrator]:
    owner, client = an_owner(), factories.a_client()
    person = factories.an_administrator(owner.memberships[0].estab, name=HOSTILE, username="second", role="admin")
    until = clock.now() + timedelta(days=365)
    authorise.give(
        client, frozenset({"openid", "students"}), by=person.memberships[0], agreement_version="1", until=until
    )
    return client.id, person


def something_stopped() -> None:
    client_id, person = something_authorised()
    authorise.withdraw(person.memberships[0].estab_id, client_id, by=person.memberships[0])


def a_school_that_closes() -> None:
    an_owner().memberships[0].estab.school.status_code = codes.CLOSED
    session().flush()
    closures.announce_due()


def something_paused() -> tuple[str, Administrator]:
    client_id, person = something_authorised()
    authorise.pause(person.memberships[0].estab_id, client_id, by=person.memberships[0])
    return client_id, person


def something_resumed() -> None:
    client_id, person = something_paused()
    authorise.resume(person.memberships[0].estab_id, client_id, by=person.memberships[0])


def something_to_review() -> Administrator:
    client_id, person = something_authorised()
    client = session().get_one(Client, client_id)
    client.agreement_version = "another"
    registry.bump_version(client)
    while reviewing.mail_due():
        pass
    return person


def something_declined() -> None:
    member = something_to_review().memberships[0]
    (agreement,) = authorise.current(member.estab_id)
    what_is_new = reviews.find_pending(agreement)
    assert what_is_new
    reviewing.decline(member.estab_id, agreement.client_id, replaces=agreement.id, shown=what_is_new.shown, by=member)


def something_that_ends(days: int = 5) -> None:
    _, person = something_authorised()
    (agreement,) = authorise.current(person.memberships[0].estab_id)
    agreement.until = clock.now() + timedelta(days=days)
    session().flush()
    expiry.remind_due()


def something_that_ended() -> None:
    something_that_ends(days=-1)


def another_system() -> None:
    client_id, person = something_authorised()
    client = session().get_one(Client, client_id)
    client.accepted_mis = frozenset({"sims"})
    registry.bump_version(client)
    mis.set_by_school("arbor", by=person.memberships[0])


def a_linked_account() -> Administrator:
    """Whose name at its provider is the message."""
    person, kind = an_owner(), providers.KINDS[0]
    settings = runtime.settings().federation.microsoft
    linking.link(person, Identity(providers.Provider(kind, settings), "https://issuer.example", "jo", "", HOSTILE))
    return person


def an_unlinked_account() -> None:
    linking.unlink(a_linked_account(), "microsoft")


def a_rule() -> Membership:
    member = an_owner().memberships[0]
    second_step_rule.require(member)
    return member


def a_rule_lifted() -> None:
    second_step_rule.lift(a_rule())


def an_invitation_of_a_school_passed_on() -> None:
    school, partner = factories.a_school(), registry.client(factories.a_client().id)
    assert partner is not None
    request = invite.InvitationRequest(
        school, "Al Bloggs", "al@oakhill.example", frozenset({"students"}), reference=HOSTILE
    )
    invite.invite(partner, request)
    session().flush()
    link = post.unseal(session().scalars(select(Message).where(Message.name == "partner_invitation")).one()).text
    secret = re.findall(r"/invitations/([\w-]+)", link)[0]
    answer.forward(secret, Recipient(HOSTILE, "b@oakhill.example", is_forwarded=True), disclose=True)


MAIL_MAKERS: dict[str, Callable[[], object]] = {
    "account_linked": a_linked_account,
    "account_made": partial(an_invitation, accepted=True),
    "account_unlinked": an_unlinked_account,
    "account_locked": wrong_passwords,
    "changes_undone": changes_taken_back,
    "colleague_reset_password": a_reset_by_a_colleague,
    "factor_added": a_factor(factors.note_added),
    "factor_removed": a_factor(factors.note_removed),
    "factor_replaced": a_factor(partial(factors.note_added, replaced=True)),
    "confirm_address": another_address,
    "email_changed": another_address,
    "factors_recovered": a_factor_recovered,
    "recovery_notice": a_lost_factor,
    "recovery_stopped": a_factor_found,
    "invitation": an_invitation,
    "invitation_reminder": an_invitation_reminded_of,
    "join_added": a_joiner_with_an_account,
    "join_approved": a_joiner,
    "join_declined": a_joiner_turned_away,
    "mobile_changed": another_number,
    "new_device": a_new_computer,
    "new_devices": many_new_computers,
    "ownership_handed_over": a_change_of_people(lambda member, owner: members.hand_over(member, "viewer", by=owner)),
    "partner_invitation_forwarded": an_invitation_of_a_school_passed_on,
    "passkey_copied": a_copied_passkey,
    "password_changed": another_password,
    "person_joined": partial(an_invitation, accepted=True),
    "person_removed": a_change_of_people(lambda member, owner: members.remove(member, by=owner)),
    "reset_link": lambda: reset_links.send(an_owner(), by="cli", note="Called the office."),
    "reset_started": a_reset,
    "recovery_code_used": a_recovery_code,
    "role_changed": a_change_of_people(lambda member, owner: members.change_role(member, "admin", by=owner)),
    "school_added": a_school_added,
    "school_question": lambda: review.ask(
        an_owner().memberships[0].estab.estab_id, "Who is the head teacher?", by="cli"
    ),
    "school_registered": a_school_completed_with_a_message,
    "school_rejected": lambda: review.reject(
        an_owner().memberships[0].estab.estab_id, "The school does not know you.", by="cli"
    ),
    "second_step_optional": a_rule_lifted,
    "second_step_required": a_rule,
    "sharing_receipt": something_authorised,
    "school_closing": a_school_that_closes,
    "sharing_expired": something_that_ended,
    "sharing_expires": something_that_ends,
    "sharing_paused": something_paused,
    "sharing_resumed": something_resumed,
    "sharing_review": something_to_review,
    "sharing_review_declined": something_declined,
    "sharing_stopped": something_stopped,
    "system_changed": another_system,
    "verify_email": a_registration,
    "welcome_link": a_lost_welcome,
}
NOT_FOR_UNVERIFIED = {
    "client_changed": "to a partner's own people, about its own client (tests/partners/test_change_notices.py)",
    "registration_approved": "to a partner's own people (tests/developers/test_going_live.py)",
    "registration_declined": "to a partner's own people (tests/developers/test_going_live.py)",
    "client_secret_expires": "to a partner's contact, about its own client (tests/partners/test_reminders.py)",
    "initial_token_expires": "to a partner's contact, about its own token (tests/partners/test_reminders.py)",
    "colleague_helped": "owners of verified schools only (tests/manage/test_colleague_views.py)",
    "decide_sharing": "people of verified schools only (tests/oidc/test_colleague.py)",
    "developer_invitation": "of registered partners; carries no name of a person (tests/developers/test_account.py)",
    "join_request": "owners of verified schools only, who have to learn who asks (tests/onboarding/test_join.py)",
    "partner_invitation": "of registered partners, and names pass our check (tests/invitations/test_invite.py)",
    "sandbox_unused": "to a partner's own people, with names of their own sandbox (tests/developers/test_sandbox.py)",
    "registration_requested": "to our staff, with names that signed-in people of a partner typed",
    "register_changes": "to our staff, from the national register",
    "sharing_moved": "verified schools only, of which nothing that was typed is said (tests/sharing/test_closing.py)",
    "sharing_offered": "verified schools only, from the national register (tests/sharing/test_closing.py)",
    "sharing_released": "owners of verified schools only, who have to learn who did it (tests/sharing/test_closing.py)",
    "school_verified": "the school is verified by then",
}


def test_every_mail_template_is_tested_here():
    assert MAIL_MAKERS.keys() | NOT_FOR_UNVERIFIED.keys() == MAILS
    assert MAIL_MAKERS.keys().isdisjoint(NOT_FOR_UNVERIFIED)


@pytest.mark.parametrize("name", sorted(MAIL_MAKERS))
def test_for_an_unverified_school_nothing_that_was_typed_is_in_it(transaction, outbox, name):
    with transaction():
        MAIL_MAKERS[name]()
    written = outbox.all(name)
    assert written
    for message in written:
        for part in (message.subject, message.text, message.html):
            assert part
            for word in ("refund", "evil-bank"):
                assert word not in part, part
        assert "Dear None" not in message.text
        assert "Hello," in message.text or name.startswith("sharing")


def test_once_the_school_is_verified_people_are_greeted_by_their_name(transaction, outbox):
    with transaction():
        person = factories.an_administrator()
        password.change(person, "hash", by=person.id)
    assert "Dear Jo Bloggs," in outbox.last("password_changed").text
