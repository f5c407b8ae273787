"""Our mails cannot carry a stranger's message: of an unverified school, nothing that its people typed is sent.

Each mail template is listed here: with a function that has it sent for an unverified school, or with the reason why
that never happens. The
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


def invite_colleague(*, accepted: bool = False) -> None:
    owner, secret = an_owner(), crypto.new_secret()
    other = {"name": HOSTILE, "username": "second", "email": "second@oakhill.example"}
    factories.an_administrator(owner.memberships[0].estab, **other)
    invited = person_invitations.invite(HOSTILE, "al@oakhill.example", "admin", by=owner.memberships[0])
    invited.digest = crypto.digest(secret)
    session().flush()
    if accepted:
        person_invitations.accept_as_new(secret, name=HOSTILE, mobile="+447700900124")


def remind_of_invitation() -> None:
    invite_colleague()
    invited = session().scalars(select(PersonInvitation)).one()
    invited.expires_at = clock.now() + timedelta(hours=1)
    session().flush()
    person_invitations.remind_due()


def change_people(change: Callable[[Membership, Membership], object]) -> Callable[[], None]:
    """Have an owner change another person; a third person is an owner too, and gets a mail."""

    def changed() -> None:
        owner = an_owner().memberships[0]
        for name in ("second", "third"):
            other = {"name": HOSTILE, "username": name, "email": f"{name}@oakhill.example"}
            member = factories.an_administrator(owner.estab, **other).memberships[0]
        change(member, owner)

    return changed


def an_owner() -> Administrator:
    """The owner of an unverified school that is under review."""
    estab = factories.an_estab(state="unverified")
    person = factories.an_administrator(estab, name=HOSTILE, mobile=HOSTILE)
    review.open_for(estab)
    return person


def register() -> None:
    registrations.a_registration(name=HOSTILE, mobile=HOSTILE)


def complete_registration() -> None:
    registration = registrations.a_registration(name=HOSTILE)
    registration.name = HOSTILE
    registrations.verify_address(registration)
    signup.complete(
        registration,
        registrations.details(name=HOSTILE),
        registrations.generated_password(),
        browser=registrations.OWN_BROWSER,
    )


def request_to_join() -> JoinRequest:
    owner = an_owner()
    registrations.complete(
        registrations.a_registration(owner.memberships[0].estab.school, name=HOSTILE, email="b@oakhill.example")
    )
    join_request = session().scalars(select(JoinRequest)).one()
    join_request.name = HOSTILE
    return join_request


def approve_join_request() -> None:
    join.approve(request_to_join(), "admin", by="cli")


def add_school_to_account() -> None:
    add_school.complete(factories.a_school(), an_owner(), browser=registrations.OWN_BROWSER, return_to=None)


def approve_join_request_of_account() -> None:
    school, person = an_owner().memberships[0].estab.school, an_owner()
    add_school.complete(school, person, browser=registrations.OWN_BROWSER, return_to=None)
    join.approve(session().scalars(select(JoinRequest)).one(), "admin", by="cli")


def decline_join_request() -> None:
    join.decline(request_to_join(), by="cli")


def resend_welcome() -> None:
    estab = an_owner().memberships[0].estab
    person = factories.an_administrator(estab, name=HOSTILE, username="second", role="admin", password_hash=None)
    links.resend_welcome(links.issue_welcome_url(person).rpartition("/")[2])


def sign_in_on_new_computer(times: int = 1) -> None:
    person = an_owner()
    session().add(KnownDevice(digest=b"known", person_id=person.id, expires_at=clock.now() + timedelta(days=1)))
    session().flush()
    for _ in range(times):
        password.notify_new_device(person, device=None, browser=devices.describe(f"{HOSTILE} Firefox/140.0"))


def sign_in_on_many_computers() -> None:
    sign_in_on_new_computer(password.MAX_NOTICES + 1)


def change_password() -> None:
    password.change(an_owner(), "hash", by="adm_x")


def lock_account() -> None:
    username = an_owner().username
    for _ in range(runtime.settings().throttle.account_guesses):
        session().commit()  # the password is compared outside of any transaction
        with suppress(password.WrongPassword):
            password.check(username, "wrong", device=None, address=None)


def begin_reset(*, confirmed: bool = True) -> str:
    person = an_owner()
    person.mobile, person.mobile_confirmed_at = "+447700900123", clock.now() if confirmed else None
    return reset.begin(person.username, device=None)


def complete_reset() -> None:
    current = reset.find_by_browser(begin_reset())
    assert current is not None
    person = session().get_one(Administrator, current.person_id)
    other = {"name": HOSTILE, "username": "second", "email": "second@oakhill.example"}
    factories.an_administrator(person.memberships[0].estab, **other)
    current.proven_at = person.password_changed_at = current.created_at
    secret = crypto.new_secret()
    current.browser = crypto.digest(secret)
    session().flush()
    reset.complete(secret, "hash", device=None)


def change_factor(change: Callable[[Administrator, factors.FactorKind], None]) -> Callable[[], None]:
    return lambda: change(an_owner(), factors.APP)


def spend_recovery_code() -> None:
    person = an_owner()
    assert recovery_codes.spend(person.id, recovery_codes.make(person)[0])


def change_email() -> Administrator:
    person = an_owner()
    email_change.begin(person, "new@oakhill.example")
    link = session().query(PersonalSecret).filter_by(purpose=email_change.PURPOSE).one()
    secret = crypto.new_secret()
    link.digest = crypto.digest(secret)
    session().flush()
    email_change.confirm(secret, person)
    return person


def change_mobile() -> None:
    person = an_owner()
    person.mobile, person.mobile_confirmed_at = "+447700900123", clock.now()
    mobile_change.begin(person, "+447700900999")
    session().flush()
    text = post.unseal(session().scalars(select(Message).where(Message.name == "mobile_code")).one()).text
    mobile_change.confirm(person, re.findall(r"\d{6}", text)[0])


def undo_change() -> None:
    link = undo_changes.issue(change_email())
    undo_changes.undo(link.rpartition("/")[2])


def start_recovery() -> None:
    factor_recovery.start(an_owner(), by="cli", note="Called the office.")


def complete_recovery() -> None:
    start_recovery()
    recovery = session().query(FactorRecovery).one()
    recovery.due_at = clock.now()
    session().flush()
    factor_recovery.complete(recovery.person_id)


def stop_recovery() -> None:
    start_recovery()
    session().flush()
    factor_recovery.stop_for(session().query(FactorRecovery).one().person_id)


def use_copied_passkey() -> None:
    device = authenticator.a_passkey(an_owner().id, runtime.settings().server.issuer, counts=False)
    for passkey in session().scalars(select(Passkey)):
        passkey.name, passkey.sign_count = HOSTILE, 5
    session().flush()
    response = passkeys.read(device.get(passkeys.sign_in_options(browser=authenticator.BROWSER)))
    with suppress(passkeys.PasskeyCopied):
        passkeys.verify_use(response, passkeys.SIGN_IN, browser=authenticator.BROWSER)


def authorise_sharing() -> tuple[str, Administrator]:
    owner, client = an_owner(), factories.a_client()
    person = factories.an_administrator(owner.memberships[0].estab, name=HOSTILE, username="second", role="admin")
    until = clock.now() + timedelta(days=365)
    authorise.give(
        client, frozenset({"openid", "students"}), by=person.memberships[0], agreement_version="1", until=until
    )
    return client.id, person


def stop_sharing() -> None:
    client_id, person = authorise_sharing()
    authorise.withdraw(person.memberships[0].estab_id, client_id, by=person.memberships[0])


def announce_closure() -> None:
    an_owner().memberships[0].estab.school.status_code = codes.CLOSED
    session().flush()
    closures.announce_due()


def pause_sharing() -> tuple[str, Administrator]:
    client_id, person = authorise_sharing()
    authorise.pause(person.memberships[0].estab_id, client_id, by=person.memberships[0])
    return client_id, person


def resume_sharing() -> None:
    client_id, person = pause_sharing()
    authorise.resume(person.memberships[0].estab_id, client_id, by=person.memberships[0])


def change_agreement() -> Administrator:
    client_id, person = authorise_sharing()
    client = session().get_one(Client, client_id)
    client.agreement_version = "another"
    registry.bump_version(client)
    while reviewing.mail_due():
        pass
    return person


def decline_review() -> None:
    member = change_agreement().memberships[0]
    (agreement,) = authorise.current(member.estab_id)
    pending_review = reviews.find_pending(agreement)
    assert pending_review
    reviewing.decline(
        member.estab_id, agreement.client_id, replaces=agreement.id, shown=pending_review.shown, by=member
    )


def remind_of_end(days: int = 5) -> None:
    _, person = authorise_sharing()
    (agreement,) = authorise.current(person.memberships[0].estab_id)
    agreement.until = clock.now() + timedelta(days=days)
    session().flush()
    expiry.remind_due()


def announce_end() -> None:
    remind_of_end(days=-1)


def change_mis() -> None:
    client_id, person = authorise_sharing()
    client = session().get_one(Client, client_id)
    client.accepted_mis = frozenset({"sims"})
    registry.bump_version(client)
    mis.set_by_school("arbor", by=person.memberships[0])


def link_account() -> Administrator:
    """Link an account whose name at its provider is the message."""
    person, kind = an_owner(), providers.KINDS[0]
    settings = runtime.settings().federation.microsoft
    linking.link(person, Identity(providers.Provider(kind, settings), "https://issuer.example", "jo", "", HOSTILE))
    return person


def unlink_account() -> None:
    linking.unlink(link_account(), "microsoft")


def require_second_step() -> Membership:
    member = an_owner().memberships[0]
    second_step_rule.require(member)
    return member


def lift_second_step() -> None:
    second_step_rule.lift(require_second_step())


def pass_on_invitation() -> None:
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


MAIL_SENDERS: dict[str, Callable[[], object]] = {
    "account_linked": link_account,
    "account_made": partial(invite_colleague, accepted=True),
    "account_unlinked": unlink_account,
    "account_locked": lock_account,
    "changes_undone": undo_change,
    "colleague_reset_password": complete_reset,
    "factor_added": change_factor(factors.note_added),
    "factor_removed": change_factor(factors.note_removed),
    "factor_replaced": change_factor(partial(factors.note_added, replaced=True)),
    "confirm_address": change_email,
    "email_changed": change_email,
    "factors_recovered": complete_recovery,
    "recovery_notice": start_recovery,
    "recovery_stopped": stop_recovery,
    "invitation": invite_colleague,
    "invitation_reminder": remind_of_invitation,
    "join_added": approve_join_request_of_account,
    "join_approved": approve_join_request,
    "join_declined": decline_join_request,
    "mobile_changed": change_mobile,
    "new_device": sign_in_on_new_computer,
    "new_devices": sign_in_on_many_computers,
    "ownership_handed_over": change_people(lambda member, owner: members.hand_over(member, "viewer", by=owner)),
    "partner_invitation_forwarded": pass_on_invitation,
    "passkey_copied": use_copied_passkey,
    "password_changed": change_password,
    "person_joined": partial(invite_colleague, accepted=True),
    "person_removed": change_people(lambda member, owner: members.remove(member, by=owner)),
    "reset_link": lambda: reset_links.send(an_owner(), by="cli", note="Called the office."),
    "reset_started": begin_reset,
    "recovery_code_used": spend_recovery_code,
    "role_changed": change_people(lambda member, owner: members.change_role(member, "admin", by=owner)),
    "school_added": add_school_to_account,
    "school_question": lambda: review.ask(
        an_owner().memberships[0].estab.estab_id, "Who is the head teacher?", by="cli"
    ),
    "school_registered": complete_registration,
    "school_rejected": lambda: review.reject(
        an_owner().memberships[0].estab.estab_id, "The school does not know you.", by="cli"
    ),
    "second_step_optional": lift_second_step,
    "second_step_required": require_second_step,
    "sharing_receipt": authorise_sharing,
    "school_closing": announce_closure,
    "sharing_expired": announce_end,
    "sharing_expires": remind_of_end,
    "sharing_paused": pause_sharing,
    "sharing_resumed": resume_sharing,
    "sharing_review": change_agreement,
    "sharing_review_declined": decline_review,
    "sharing_stopped": stop_sharing,
    "system_changed": change_mis,
    "verify_email": register,
    "welcome_link": resend_welcome,
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
    assert MAIL_SENDERS.keys() | NOT_FOR_UNVERIFIED.keys() == MAILS
    assert MAIL_SENDERS.keys().isdisjoint(NOT_FOR_UNVERIFIED)


@pytest.mark.parametrize("name", sorted(MAIL_SENDERS))
def test_a_mail_for_an_unverified_school_has_nothing_that_was_typed(transaction, outbox, name):
    with transaction():
        MAIL_SENDERS[name]()
    written = outbox.all(name)
    assert written
    for message in written:
        for part in (message.subject, message.text, message.html):
            assert part
            for word in ("refund", "evil-bank"):
                assert word not in part, part
        assert "Dear None" not in message.text
        assert "Hello," in message.text or name.startswith("sharing")


def test_a_mail_for_a_verified_school_greets_the_person_by_name(transaction, outbox):
    with transaction():
        person = factories.an_administrator()
        password.change(person, "hash", by=person.id)
    assert "Dear Jo Bloggs," in outbox.last("password_changed").text
