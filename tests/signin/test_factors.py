"""Second factors: whose they are, and those of people who were removed."""

from datetime import timedelta

from idp import worker
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.signin import authenticator_app, factors, passkeys, recovery_codes
from idp.signin.models import AuthenticatorApp, Passkey, RecoveryCode
from tests.factories import an_administrator
from tests.signin.apps import App, an_app
from tests.signin.authenticator import a_passkey

TIME_STEP = timedelta(seconds=30)


def test_the_worker_deletes_factors_and_codes_of_people_who_were_removed_and_of_no_one_else(
    transaction, clock, settings
):
    with transaction():
        removed, colleague = an_administrator().id, an_administrator().id
        for person_id in (removed, colleague):
            an_app(person_id)
            a_passkey(person_id, settings.server.issuer)
            recovery_codes.make(people.get(person_id))
    clock.move(timedelta(days=3))
    worker.clean(transaction)
    with transaction() as session:
        assert factors.kinds(removed) == {"app", "passkey"}
        session.get_one(Administrator, removed).removed_at = clocks.now()

    worker.clean(transaction)

    with transaction() as session:
        for model in (AuthenticatorApp, Passkey, RecoveryCode):
            assert {row.person_id for row in session.query(model)} == {colleague}
        assert authenticator_app.is_set_up(colleague)
        assert passkeys.has_any(colleague)


def test_changes_of_one_persons_factors_do_not_affect_another_person(transaction, clock, settings):
    with transaction():
        person, other = (an_administrator().id for _ in range(2))
        apps = {account: an_app(account) for account in (person, other)}
        for account in (person, other):
            a_passkey(account, settings.server.issuer)
            recovery_codes.make(people.get(account))
        seed = authenticator_app.begin(other, "", "ses_1").seed
        assert authenticator_app.begin(person, "", "ses_1").seed != seed
    clock.move(TIME_STEP)
    with transaction():
        recovery_codes.make(people.get(person))
        assert authenticator_app.spend_code(person, apps[person].code())
        assert authenticator_app.spend_code(other, apps[other].code())
        new = App(authenticator_app.begin(person, "", "ses_2").seed)
        assert authenticator_app.finish(person, "ses_2", new.code())
        assert authenticator_app.begin(other, "", "ses_1").seed == seed

        factors.forget_all(person)
    with transaction():
        assert (factors.kinds(person), recovery_codes.count_unused(person)) == (frozenset(), 0)
        assert (factors.kinds(other), recovery_codes.count_unused(other)) == (
            frozenset({"app", "passkey"}),
            recovery_codes.CODES_PER_SET,
        )
