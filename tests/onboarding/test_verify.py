"""The link verifies one address for one registration, once, within an hour, and only the newest link works."""

from datetime import timedelta

import pytest

from idp.estabs import links
from idp.foundation.errors import TooManyRequests
from idp.onboarding import signup, verify
from idp.onboarding.models import EmailVerification, Registration
from idp.outbox.models import Message
from tests.factories import a_school
from tests.onboarding.registrations import OTHER_BROWSER, OWN_BROWSER, a_registration, details


@pytest.fixture
def secret(transaction, outbox, clock):
    """The secret in the link of a registration whose mail has just been sent."""
    with transaction():
        a_registration()
    return newest_secret(outbox)


def newest_secret(outbox):
    return outbox.last("verify_email").secret


def only_registration(database):
    return database.query(Registration).one()


def test_pressing_the_button_verifies_the_address(transaction, secret, clock):
    with transaction():
        registration = verify.accept_link(secret, OTHER_BROWSER)

        assert registration.email_verified_at == clock.now()
        assert (registration.verified_email, registration.is_verified) == ("office@oakhill.example", True)
        assert registration.is_known_browser(OTHER_BROWSER)
        assert registration.is_known_browser(OWN_BROWSER)
        assert not registration.began_in(OTHER_BROWSER)


def test_opening_the_link_does_not_use_it_up(transaction, secret):
    for _ in range(3):
        with transaction():
            verify.check(secret)
    with transaction():
        verify.accept_link(secret, OWN_BROWSER)


def test_the_link_works_once_however_often_it_is_pressed(run_concurrently, secret):
    outcomes = run_concurrently(8, lambda: verify.accept_link(secret, OWN_BROWSER))

    assert sum(isinstance(outcome, Registration) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, links.LinkUsed) for outcome in outcomes) == 7


def test_the_link_expires(transaction, secret, clock):
    clock.move(timedelta(hours=1))

    for use in (verify.check, lambda link: verify.accept_link(link, OWN_BROWSER)):
        with pytest.raises(links.LinkExpired), transaction():
            use(secret)


def test_only_the_newest_link_works(transaction, secret, outbox, clock):
    clock.move(timedelta(minutes=1))
    with transaction() as database:
        verify.resend(only_registration(database))

    for use in (verify.check, lambda link: verify.accept_link(link, OWN_BROWSER)):
        with pytest.raises(links.LinkSuperseded), transaction():
            use(secret)
    with transaction():
        verify.accept_link(newest_secret(outbox), OWN_BROWSER)


def test_a_corrected_address_is_not_verified_by_the_old_link(transaction, secret, outbox, clock):
    clock.move(timedelta(minutes=1))
    with transaction() as database:
        signup.change_address(only_registration(database), "right@oakhill.example")

    with pytest.raises(links.LinkSuperseded), transaction():
        verify.accept_link(secret, OWN_BROWSER)
    assert outbox.last("verify_email").to == "right@oakhill.example"


def test_a_link_is_refused_if_the_address_changed_without_a_new_link(transaction, secret):
    with transaction() as database:
        only_registration(database).email = "right@oakhill.example"

    with pytest.raises(links.LinkSuperseded), transaction():
        verify.accept_link(secret, OWN_BROWSER)
    with transaction() as database:
        assert database.query(EmailVerification).one().used_at is None, "a refused link is not used up"


def test_the_link_of_one_registration_verifies_no_other_of_the_same_address(transaction, secret, outbox, clock):
    clock.move(timedelta(minutes=1))
    with transaction():
        other = a_registration(a_school()).id
    with transaction():
        registration = verify.accept_link(secret, OWN_BROWSER)

        assert registration.id != other
        assert not signup.find_in_browser(other, OWN_BROWSER).is_verified


def test_the_link_of_a_registration_that_was_completed_meanwhile_changes_nothing(transaction, secret, clock):
    with transaction() as database:
        registration = only_registration(database)
        registration.used_at, registration.browser = clock.now(), OTHER_BROWSER
    with transaction(), pytest.raises(links.LinkUsed):
        verify.accept_link(secret, OWN_BROWSER)
    with transaction() as database:
        assert only_registration(database).verified_in is None


def test_links_sent_to_other_addresses_do_not_count_towards_the_limit(transaction, clock):
    with transaction():
        for number in range(5):
            a_registration(a_school(), email=f"office{number}@elsewhere.example")
        a_registration()


def test_a_link_for_another_purpose_is_unknown_here(transaction, secret):
    with transaction() as database:
        database.query(EmailVerification).one().purpose = "invite"

    for use in (verify.check, lambda link: verify.accept_link(link, OWN_BROWSER)):
        with pytest.raises(links.LinkUnknown), transaction():
            use(secret)


def test_a_link_we_never_made_is_unknown(transaction, app):
    with pytest.raises(links.LinkUnknown), transaction():
        verify.accept_link("never made", OWN_BROWSER)


def test_the_link_of_an_expired_registration_has_expired(transaction, secret):
    with transaction() as database:
        registration = only_registration(database)
        registration.expires_at = registration.created_at

    with pytest.raises(links.LinkExpired), transaction():
        verify.accept_link(secret, OWN_BROWSER)


def test_a_person_who_did_not_register_can_stop_the_registration(transaction, secret):
    with transaction():
        verify.stop(secret)

    with pytest.raises(verify.RegistrationStopped), transaction():
        verify.accept_link(secret, OWN_BROWSER)
    with pytest.raises(verify.RegistrationStopped), transaction() as database:
        signup.find_in_browser(only_registration(database).id, OWN_BROWSER)


def test_a_second_click_on_resend_sends_nothing_more(transaction, secret, outbox, clock):
    clock.move(timedelta(minutes=1))
    for _ in range(3):
        with transaction() as database:
            verify.resend(only_registration(database))

    assert len(outbox.all("verify_email")) == 2


def test_a_link_can_be_sent_again_after_ten_seconds(transaction, secret, outbox, clock):
    sent = []
    for seconds in (9, 1):
        clock.move(timedelta(seconds=seconds))
        with transaction() as database:
            sent.append(verify.resend(only_registration(database)))

    assert sent == [False, True]


def test_the_mail_expires_with_its_link(transaction, secret, outbox, clock):
    with transaction() as database:
        assert database.query(Message).one().expires_at == clock.now() + timedelta(hours=1)
    assert "for 60 minutes" in outbox.last("verify_email").text


def test_a_verified_address_is_sent_no_further_link(transaction, secret, outbox, clock):
    with transaction():
        verify.accept_link(secret, OWN_BROWSER)
    clock.move(timedelta(minutes=1))
    with transaction() as database:
        verify.resend(only_registration(database))

    assert len(outbox.all("verify_email")) == 1


def test_one_registration_is_sent_five_links_an_hour(transaction, secret, clock):
    for attempt in range(4):
        with transaction() as database:
            signup.change_address(only_registration(database), f"office{attempt}@oakhill.example")

    with pytest.raises(TooManyRequests) as refused, transaction() as database:
        signup.change_address(only_registration(database), "once-more@oakhill.example")
    assert refused.value.retry_after == 3600
    clock.move(timedelta(hours=1))
    with transaction() as database:
        signup.change_address(only_registration(database), "once-more@oakhill.example")


def test_one_address_is_sent_five_links_an_hour_in_total(transaction, secret):
    for _ in range(4):
        with transaction():
            a_registration(a_school())

    with pytest.raises(TooManyRequests), transaction():
        a_registration(a_school(), email="OFFICE@oakhill.example")


def test_a_new_link_is_sent_to_the_same_address_only(transaction, secret, outbox, clock):
    clock.move(timedelta(hours=2))
    with transaction():
        verify.send_another(secret)
    assert [message.to for message in outbox.all("verify_email")] == ["office@oakhill.example"] * 2

    with transaction() as database:
        signup.correct(only_registration(database), details(email="other@oakhill.example"))
    with transaction():
        verify.send_another(secret)
        verify.send_another("never made")
    assert len(outbox.all("verify_email")) == 3, "the old address is no longer this registration's"


def test_the_mail_names_the_school_but_not_the_typed_name_and_links_to_our_own_host(secret, outbox, settings):
    message = outbox.last("verify_email")

    assert message.to == "office@oakhill.example"
    assert "Jo Bloggs" not in message.text
    assert "Oakhill School" in message.subject
    assert message.links[0].startswith(f"{settings.server.issuer}/register/verify/")
