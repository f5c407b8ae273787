"""What an action leaves in the audit log: who did it, at which school and client, to what, and what it was.

A function that records the wrong person, or no school, works as well as before; only a reader of the log would notice.
"""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.estabs import accounts, credentials, members, people, person_invitations
from idp.estabs.models import Membership
from idp.foundation.database import session
from idp.keys import ring
from idp.onboarding import first_credentials, handover, join, rejected, review, signup, verify
from idp.onboarding.models import JoinRequest
from idp.operate import recovery
from idp.partners import initial_tokens, registry, self_registration
from idp.partners.models import InitialAccessToken
from idp.sharing import authorise, mis
from idp.signin import email_change, factor_recovery, mobile, mobile_change, operators, password, reset, undo_changes
from tests.audit_entries import recorded
from tests.conftest import MONDAY
from tests.factories import a_client, a_partner, a_school, an_administrator, an_estab
from tests.oidc.registering import METADATA
from tests.onboarding.registrations import (
    OTHER_BROWSER,
    OWN_BROWSER,
    a_registration,
    complete,
    details,
    generated_password,
)
from tests.partners.manifests import a_manifest

# Estabs


def test_a_school_is_registered_by_its_owner(transaction):
    with transaction():
        school = a_school()
        estab, owner = accounts.register(school, name="Jo", email="jo@oakhill.example", mobile="+447700900123")

        assert recorded(events.ESTAB_REGISTERED) == [
            (owner.id, estab.id, None, owner.id, {"school": school.id}, None)
        ]  # fmt: skip
        assert recorded(events.PERSON_ADDED) == [(owner.id, estab.id, None, owner.id, {"role": "owner"}, None)]


@pytest.mark.parametrize(("reason", "details"), [("Telephoned.", {"reason": "Telephoned."}), ("", None)])
def test_a_change_of_state_is_recorded_with_the_state_before_and_the_reason(transaction, reason, details):
    with transaction():
        estab = an_estab(state="unverified")
        accounts.change_state(estab, "verified", by="op_sam", reason=reason)

        facts = {"before": "unverified", "state": "verified"}
        assert recorded(events.ESTAB_STATE_CHANGED) == [("op_sam", estab.id, None, estab.id, facts, details)]


def test_setting_a_password_is_recorded_with_who_set_it_and_for_whom(transaction):
    with transaction():
        person = an_administrator()
        credentials.set_hash(person, "a hash", by="op_sam")

        assert recorded(events.PASSWORD_SET) == [("op_sam", person.memberships[0].estab_id, None, person.id, {}, None)]


def test_the_erasure_of_a_rejected_accounts_data_is_recorded_as_by_the_system(transaction, clock):
    with transaction():
        estab = an_administrator(an_estab(state="rejected")).memberships[0].estab
        rejected.erase_personal_data(MONDAY + timedelta(days=1))

        assert recorded(events.PERSONAL_DATA_ERASED) == [("system", estab.id, None, estab.id, {"count": 1}, None)]


def test_the_actions_of_owners_about_people_are_recorded_at_their_school(transaction, clock, outbox):
    with transaction():
        owner = an_administrator(email="owner@oakhill.example").memberships[0]
        vi = an_administrator(owner.estab, username="vi", role="viewer").memberships[0]
        for name in ("al", "bo"):
            invited = person_invitations.invite(name, f"{name}@oakhill.example", "admin", by=owner)
            clock.move(timedelta(seconds=1))
            person_invitations.resend(invited.id, by=owner)
        person_invitations.cancel(invited.id, by=owner)
        by, estab_id, cancelled = owner.person_id, owner.estab_id, invited.id
        accepted = person_invitations.waiting(estab_id)[0].id
    secret = next(mail for mail in reversed(outbox.all("invitation")) if mail.to.startswith("al@")).links[0]
    with transaction():
        al, _ = person_invitations.accept_as_new(secret.rpartition("/")[2], name="Al", mobile="+447700900124")
        owner = session().get_one(Membership, (by, estab_id))
        members.change_role(people.membership(vi.person_id, estab_id), "admin", by=owner)
        members.hand_over(people.membership(vi.person_id, estab_id), "viewer", by=owner)
        members.remove(people.membership(al.id, estab_id), by="op_sam", note="Called the office.")
        clock.move(timedelta(seconds=1))
        members.change_role(people.membership(by, estab_id), "admin", by="op_sam", note="Called the office.")

        sent = [(by, estab_id, None, invitation, {"role": "admin"}, None) for invitation in (accepted, cancelled)]
        assert recorded(events.INVITATION_SENT) == sent
        assert recorded(events.INVITATION_RESENT) == [(*message[:4], {}, None) for message in sent]
        assert recorded(events.INVITATION_CANCELLED) == [(by, estab_id, None, cancelled, {}, None)]
        facts = {"invited_by": by, "role": "admin"}
        assert recorded(events.INVITATION_ACCEPTED) == [(al.id, estab_id, None, accepted, facts, None)]
        facts, note = {"before": "viewer", "role": "admin"}, {"note": "Called the office."}
        changed = [(by, estab_id, None, vi.person_id, facts, None), ("op_sam", estab_id, None, by, facts, note)]
        assert recorded(events.ROLE_CHANGED) == changed
        facts = {"before": "admin", "role": "viewer"}
        assert recorded(events.OWNERSHIP_HANDED_OVER) == [(by, estab_id, None, vi.person_id, facts, None)]
        assert recorded(events.PERSON_REMOVED) == [("op_sam", estab_id, None, al.id, {"role": "admin"}, note)]


# Partners


def test_adding_disabling_and_enabling_a_partner_are_recorded(transaction):
    with transaction():
        added = registry.add_partner("Assembly", website="https://a.example", contact_email="d@a.example", by="op_sam")
        for on in (False, True, True):
            registry.switch_partner("Assembly", on=on, by="op_sam")

        for event in (events.PARTNER_ADDED, events.PARTNER_DISABLED, events.PARTNER_ENABLED):
            assert recorded(event) == [("op_sam", None, None, added.id, {}, None)]


def test_each_change_of_a_client_is_recorded_under_its_id(transaction, clock):
    with transaction():
        a_partner(name="Assembly")
        client, _ = registry.register(a_manifest(), by="op_sam")
        registry.change(a_manifest(client_id=client.id, client_name="Assembly Two"), by="op_al")
        registry.rotate_secret(client.id, overlap=timedelta(hours=1), by="op_sam")
        registry.disable(client.id, by="op_al")
        registry.enable(client.id, by="op_sam")

        scopes = sorted(client.scopes)
        until = (MONDAY + timedelta(hours=1)).isoformat()
        for event, by, facts in (
            (events.CLIENT_REGISTERED, "op_sam", {"scopes": scopes}),
            (events.CLIENT_CHANGED, "op_al", {"fields": ["client_name"]}),
            (events.CLIENT_SECRET_ROTATED, "op_sam", {"old_until": until}),
            (events.CLIENT_DISABLED, "op_al", {}),
            (events.CLIENT_ENABLED, "op_sam", {}),
        ):
            assert recorded(event) == [(by, None, client.id, client.id, facts, None)]


def test_a_registration_by_a_partner_is_recorded_under_its_token(transaction, clock):
    with transaction():
        partner = a_partner()
        limits = {"scopes": {"required": ["openid"], "optional": ["email"], "client": ["schools.list"]}, "most": 3}
        token, secret = initial_tokens.issue(partner.name, limits, lasts=timedelta(days=1), by="op_sam")
    with transaction():
        client = self_registration.register(initial_tokens.find_usable(secret), METADATA).client
    with transaction() as database:
        token = database.get_one(InitialAccessToken, token.id)
        self_registration.remove(self_registration.ManagedClient(client.id, initial_tokens.policy(token)))
        initial_tokens.revoke(token.id, by="op_al")

        facts = {
            "partner": partner.id, "most": 3, "until": (MONDAY + timedelta(days=1)).isoformat(),
            "scopes": ["email", "openid", "schools.list"],
        }  # fmt: skip
        assert recorded(events.INITIAL_TOKEN_ISSUED) == [("op_sam", None, None, token.id, facts, None)]
        assert recorded(events.CLIENT_REGISTERED) == [
            (token.id, None, client.id, client.id, {"scopes": ["email", "openid"]}, None)
        ]  # fmt: skip
        assert recorded(events.CLIENT_DELETED) == [(client.id, None, client.id, client.id, {}, None)]
        assert recorded(events.INITIAL_TOKEN_REVOKED) == [("op_al", None, None, token.id, {}, None)]


# Keys


def test_a_key_is_recorded_with_its_algorithm_and_when_it_signs(transaction, clock):
    with transaction():
        kid = ring.rotate("ES256", by="op_sam")
        clock.move(timedelta(minutes=1))
        again = ring.rotate("ES256", by="op_al", at_once=True)
        ring.retire(kid, by="op_sam")

        first, second = ({"alg": "ES256", "signs_from": at.isoformat()} for at in (MONDAY, clock.now()))
        assert recorded(events.KEY_ROTATED) == [
            ("op_sam", None, None, kid, first, None), ("op_al", None, None, again, second, None),
        ]  # fmt: skip
        assert recorded(events.KEY_RETIRED) == [("op_sam", None, None, kid, {"alg": "ES256"}, None)]


# Registering and joining


def test_every_step_of_a_registration_is_recorded(transaction, clock, outbox):
    with transaction():
        school = a_school()
        registration = signup.begin(school, details(), browser=OWN_BROWSER, return_to=None)
        clock.move(timedelta(minutes=2))
        signup.change_address(registration, "jo@oakhill.example")
        registration_id = registration.id
    secret = outbox.last("verify_email").secret
    with transaction():
        verify.accept_link(secret, OWN_BROWSER)
        registration = signup.find_in_browser(registration_id, OWN_BROWSER)
        signup.complete(registration, details(email="jo@oakhill.example"), generated_password(), browser=OWN_BROWSER)
        first_credentials.replace(registration, OWN_BROWSER, generated_password())
        owner = signup.owner(registration)

        stranger = ("stranger", None, None, registration_id)
        assert recorded(events.REGISTRATION_BEGUN) == [(*stranger, {"school": school.id}, None)]
        assert recorded(events.REGISTRATION_ADDRESS_CHANGED) == [(*stranger, {}, None)]
        assert recorded(events.EMAIL_VERIFIED) == [(*stranger, {}, None)]
        assert recorded(events.REGISTRATION_COMPLETED) == [
            (owner.id, None, None, registration_id, {"outcome": "registered"}, None)
        ]  # fmt: skip
        assert recorded(events.CREDENTIALS_REPLACED) == [
            (owner.id, owner.memberships[0].estab_id, None, owner.id, {}, None)
        ]


def test_continuing_a_registration_in_its_first_browser_is_recorded(transaction, outbox):
    with transaction():
        registration_id = a_registration().id
    secret = outbox.last("verify_email").secret
    with transaction():
        registration = verify.accept_link(secret, OTHER_BROWSER)
        handover.enter(registration, OWN_BROWSER, handover.code(registration))

        assert recorded(events.REGISTRATION_HANDED_OVER) == [("stranger", None, None, registration_id, {}, None)]


def test_a_registration_that_is_disowned_is_recorded_as_by_a_stranger(transaction, outbox):
    with transaction():
        registration_id = a_registration().id
    secret = outbox.last("verify_email").secret
    with transaction():
        verify.stop(secret)

        assert recorded(events.REGISTRATION_DISOWNED) == [("stranger", None, None, registration_id, {}, None)]


def test_a_request_to_join_names_the_school_the_owner_and_the_new_person(transaction, clock):
    with transaction():
        owner = an_administrator(email="owner@oakhill.example")
        estab = owner.memberships[0].estab
        registration = a_registration(estab.school, email="sam@oakhill.example")
        complete(registration)
        other = a_registration(estab.school, email="al@oakhill.example")
        complete(other)
        first, second = session().scalars(select(JoinRequest).order_by(JoinRequest.email.desc()))
        person = join.approve(first, "viewer", by=owner.memberships[0])
        join.decline(second, by=owner.memberships[0])

        assert recorded(events.JOIN_REQUESTED) == [
            ("stranger", estab.id, None, first.id, {"registration": registration.id}, None),
            ("stranger", estab.id, None, second.id, {"registration": other.id}, None),
        ]
        facts = {"person": person.id, "role": "viewer"}
        assert recorded(events.JOIN_APPROVED) == [(owner.id, estab.id, None, first.id, facts, None)]
        assert recorded(events.JOIN_DECLINED) == [(owner.id, estab.id, None, second.id, {}, None)]


def test_the_decisions_of_operators_about_a_new_school_are_recorded_at_the_school(transaction, clock):
    with transaction():
        verified, rejected_estab = (
            an_administrator(an_estab(state="unverified")).memberships[0].estab for _ in range(2)
        )
        for estab in (verified, rejected_estab):
            review.open_for(estab)
        review.note(verified.estab_id, "Rang, no answer.", by="op_sam")
        review.verify(verified.estab_id, by="op_sam")
        review.reject(rejected_estab.estab_id, "No such person.", by="op_al")

        for event, by, estab in (
            (events.REVIEW_NOTED, "op_sam", verified),
            (events.ESTAB_VERIFIED, "op_sam", verified), (events.ESTAB_REJECTED, "op_al", rejected_estab),
        ):  # fmt: skip
            assert recorded(event) == [(by, estab.id, None, estab.id, {}, None)]


def test_a_question_to_a_new_school_is_recorded_and_kept_as_a_note(transaction):
    with transaction():
        estab = an_administrator(an_estab(state="unverified")).memberships[0].estab
        review.open_for(estab)
        review.ask(estab.estab_id, "Who are you?", by="op_al")

        for event in (events.REVIEW_NOTED, events.REVIEW_ASKED):
            assert recorded(event) == [("op_al", estab.id, None, estab.id, {}, None)]


# Sharing


def test_each_decision_about_sharing_names_person_school_client_and_agreement(transaction, clock):
    with transaction():
        client, by = a_client(), an_administrator().memberships[0]
        until = authorise.default_end(client)
        required = frozenset(client.required_scopes)
        authorise.refuse(client, required, by=by)
        agreement = authorise.give(client, required, by=by, agreement_version="7", until=until, offered=client.scopes)
        authorise.pause(by.estab_id, client.id, by=by)
        authorise.resume(by.estab_id, client.id, by=by)
        changed = authorise.change(by.estab_id, client.id, required | {"attendance"}, by=by)
        authorise.withdraw(by.estab_id, client.id, by=by)

        details = {"scopes": sorted(required)}
        assert recorded(events.SHARING_REFUSED) == [(by.person_id, by.estab_id, client.id, None, details, None)]
        for event, agreed, scopes in (
            (events.SHARING_GIVEN, agreement, required), (events.SHARING_PAUSED, agreement, required),
            (events.SHARING_RESUMED, agreement, required), (events.SHARING_CHANGED, changed, required | {"attendance"}),
            (events.SHARING_WITHDRAWN, changed, required | {"attendance"}),
        ):  # fmt: skip
            facts = {"line": agreement.line, "scopes": sorted(scopes), "agreement": "7", "until": until.isoformat()}
            assert recorded(event) == [(by.person_id, by.estab_id, client.id, agreed.id, facts, None)]


def test_the_choice_of_a_schools_system_is_recorded_once(transaction):
    with transaction():
        by = an_administrator(an_estab(mis=None)).memberships[0]
        for _ in range(2):
            mis.set_by_school("sims", by=by)

        facts = {"mis": "sims", "before": None}
        assert recorded(events.ESTAB_MIS_TOLD) == [(by.person_id, by.estab_id, None, by.estab_id, facts, None)]


# Signing in


def test_a_wrong_password_and_the_lock_after_ten_are_recorded_at_the_account(transaction, clock):
    with transaction():
        person = an_administrator()
        person_id, estab_id, name = person.id, person.memberships[0].estab_id, person.username
    for _ in range(10):
        with transaction(), pytest.raises(password.WrongPassword):
            password.check(name, "wrong", device=None, address=None)

    with transaction():
        assert recorded(events.SIGN_IN_FAILED) == [("stranger", estab_id, None, person_id, {}, None)] * 10
        assert recorded(events.ACCOUNT_LOCKED) == [("system", estab_id, None, person_id, {}, None)]


def test_adding_and_disabling_an_operator_are_recorded(transaction):
    with transaction():
        operator, _ = operators.add("Sam", "sam@idaas.example", by="op_al")
        operators.disable("sam@idaas.example", by="op_al")

        details = {"name": "Sam", "email": "sam@idaas.example"}
        assert recorded(events.OPERATOR_ADDED) == [("op_al", None, None, operator.id, {}, details)]
        assert recorded(events.OPERATOR_DISABLED) == [("op_al", None, None, operator.id, {}, None)]


def test_confirming_a_mobile_number_is_recorded_as_by_the_person(transaction, outbox, clock):
    with transaction():
        person = an_administrator()
        mobile.send(person)
        session().flush()
        person_id = person.id
    code = outbox.last("mobile_code").code
    with transaction():
        confirmed = people.get(person_id)
        mobile.confirm(confirmed, code)

        assert recorded(events.MOBILE_CONFIRMED) == [
            (person_id, confirmed.memberships[0].estab_id, None, person_id, {}, None)
        ]


def test_a_password_reset_is_recorded_as_started_by_a_stranger_and_completed_by_the_person(transaction, outbox, clock):
    with transaction():
        person = an_administrator(mobile_confirmed_at=clock.now())
        person_id = person.id
        estab_id = person.memberships[0].estab_id
        secret = reset.begin(person.username, device=None)
        reset.begin("unknown", device=None)
    code = outbox.last("reset_code").code
    with transaction():
        secret = reset.prove(reset.find_by_browser(secret), code, device=None, address=None)
        reset.complete(secret, "a hash", device=None)

        assert recorded(events.RESET_STARTED) == [
            ("stranger", estab_id, None, person_id, {}, None), ("stranger", None, None, None, {}, None)
        ]  # fmt: skip
        assert recorded(events.RESET_COMPLETED) == [(person_id, estab_id, None, person_id, {}, None)]
        assert recorded(events.PASSWORD_SET) == [(person_id, estab_id, None, person_id, {}, None)]


def test_a_reset_link_an_unlocking_and_ended_sessions_are_recorded_as_by_the_operator(transaction):
    with transaction():
        person = an_administrator()
        recovery.send_reset_link(person.username, by="op_sam", note="Called 020 7946 0123, Mrs Head.")
        recovery.unlock(person.username, by="op_sam", reason="The head asked.")
        recovery.end_sessions(person.username, by="op_sam")

        about = ("op_sam", person.memberships[0].estab_id, None, person.id)
        note = {"note": "Called 020 7946 0123, Mrs Head."}
        assert recorded(events.RESET_LINK_SENT) == [(*about, {}, note)]
        assert recorded(events.ACCOUNT_UNLOCKED) == [(*about, {}, {"reason": "The head asked."})]
        assert recorded(events.SESSIONS_ENDED) == [(*about, {"count": 0}, None)]


def test_changes_of_name_address_and_number_are_recorded_as_by_the_person(transaction, outbox, clock):
    with transaction():
        person = an_administrator(email="jo@oakhill.example", mobile_confirmed_at=clock.now())
        person_id = person.id
        estab_id = person.memberships[0].estab_id
        people.change_name(person, "Jo Smith")
        email_change.begin(person, "new@oakhill.example")
        mobile_change.begin(person, "+447700900999")
    secret, code = outbox.last("confirm_address").secret, outbox.last("mobile_code").code
    clock.move(timedelta(seconds=1))
    with transaction():
        email_change.confirm(secret, people.get(person_id))
        mobile_change.confirm(people.get(person_id), code)
    undo = outbox.last("email_changed").secret
    with transaction():
        undo_changes.undo(undo)

        assert recorded(events.NAME_CHANGED) == [(person_id, estab_id, None, person_id, {}, {"before": "Jo Bloggs"})]
        assert recorded(events.EMAIL_CHANGE_STARTED) == [(person_id, estab_id, None, person_id, {}, None)]
        assert recorded(events.EMAIL_CHANGED) == [
            (person_id, estab_id, None, person_id, {}, {"before": "jo@oakhill.example"})
        ]
        assert recorded(events.MOBILE_CHANGED) == [
            (person_id, estab_id, None, person_id, {}, {"before": "+447700900123"})
        ]
        assert recorded(events.CHANGES_UNDONE) == [(person_id, estab_id, None, person_id, {}, None)]


def test_starting_stopping_and_completing_a_factor_recovery_are_recorded(transaction, clock):
    with transaction():
        person = an_administrator()
        person_id, estab_id = person.id, person.memberships[0].estab_id
        recovery.start_factor_recovery(person.username, by="op_sam", note="Called the office.")
        session().flush()
        factor_recovery.stop_for(person_id)
        clock.move(timedelta(seconds=1))
        factor_recovery.start(person, by=person_id)
        session().flush()
        clock.move(timedelta(days=1))
        factor_recovery.complete(person_id)

        assert recorded(events.FACTOR_RECOVERY_STARTED) == [
            ("op_sam", estab_id, None, person_id, {}, {"note": "Called the office."}),
            (person_id, estab_id, None, person_id, {}, None),
        ]
        assert recorded(events.FACTOR_RECOVERY_STOPPED) == [(person_id, estab_id, None, person_id, {}, None)]
        assert recorded(events.FACTORS_RECOVERED) == [(person_id, estab_id, None, person_id, {}, None)]
