"""A registration whose link was opened in another browser continues in one of the two, which is chosen once."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from idp.estabs.links import LinkUnknown
from idp.foundation.database import connection
from idp.onboarding import handover, signup, verify
from idp.onboarding.models import Registration
from tests.conftest import MONDAY
from tests.factories import a_school
from tests.onboarding.registrations import OTHER_BROWSER, OWN_BROWSER, a_registration, details, generated_password


@pytest.fixture
def verified_elsewhere_id(transaction, outbox, clock):
    """The id of a registration that began in `OWN_BROWSER` and whose link was pressed in `OTHER_BROWSER`."""
    with transaction():
        registration_id = a_registration().id
    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OTHER_BROWSER)
    return registration_id


def show_code(transaction, registration_id):
    with transaction():
        return handover.code(signup.find_in_browser(registration_id, OTHER_BROWSER))


def different_code(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


def enter_code(transaction, registration_id, typed):
    """Enter a code in the browser in which the registration began; returns the outcome."""
    with transaction():
        try:
            handover.enter(signup.find_in_browser(registration_id, OWN_BROWSER), OWN_BROWSER, typed)
        except (handover.WrongCode, handover.CodeExpired) as refused:
            return type(refused)
        return None


def steps(transaction, registration_id):
    with transaction():
        return [
            signup.step(signup.find_in_browser(registration_id, browser), browser)
            for browser in (OWN_BROWSER, OTHER_BROWSER)
        ]


def test_a_link_pressed_in_the_first_browser_continues_there_without_a_code(transaction, outbox):
    with transaction():
        registration_id = a_registration().id
    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OWN_BROWSER)

        registration = signup.find_in_browser(registration_id, OWN_BROWSER)
        assert signup.step(registration, OWN_BROWSER) == "sign_up"
        assert handover.code(registration) is None


def test_a_link_pressed_in_another_browser_continues_after_a_choice(transaction, verified_elsewhere_id):
    assert steps(transaction, verified_elsewhere_id) == ["enter_code", "show_code"]
    for browser in (OWN_BROWSER, OTHER_BROWSER):
        with pytest.raises(signup.ContinuesElsewhere), transaction():
            signup.complete(
                signup.find_in_browser(verified_elsewhere_id, browser), details(), generated_password(), browser=browser
            )


@pytest.mark.parametrize("written", ["{}", " {} ", "{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}", "wide"])
def test_the_code_lets_the_first_browser_continue(transaction, verified_elsewhere_id, written):
    code = show_code(transaction, verified_elsewhere_id)
    typed = "".join(chr(ord(digit) + 0xFEE0) for digit in code) if written == "wide" else written.format(code)

    assert enter_code(transaction, verified_elsewhere_id, typed) is None
    assert steps(transaction, verified_elsewhere_id) == ["sign_up", "show_code"]
    assert show_code(transaction, verified_elsewhere_id) is None
    with transaction():
        registration = signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER)
        assert signup.complete(registration, details(), generated_password(), browser=OWN_BROWSER) == "registered"


def test_continuing_in_the_second_browser_invalidates_the_code(transaction, verified_elsewhere_id):
    code = show_code(transaction, verified_elsewhere_id)
    with transaction():
        assert handover.continue_here(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)

    assert enter_code(transaction, verified_elsewhere_id, code) is handover.CodeExpired
    assert steps(transaction, verified_elsewhere_id) == ["enter_code", "sign_up"]


def test_the_first_browser_cannot_choose_for_the_second(transaction, verified_elsewhere_id):
    with transaction():
        registration = signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER)
        assert not handover.continue_here(registration, OWN_BROWSER)
        with pytest.raises(handover.TooManyCodes):
            handover.renew(registration, OWN_BROWSER)
    assert steps(transaction, verified_elsewhere_id) == ["enter_code", "show_code"]


def test_the_second_browser_cannot_enter_the_code(transaction, verified_elsewhere_id):
    code = show_code(transaction, verified_elsewhere_id)

    with transaction():
        registration = signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER)
        with pytest.raises(handover.CodeExpired):
            handover.enter(registration, OTHER_BROWSER, code)
        assert registration.code_tries == 0, "nor does it use up the other's attempts"


def test_a_code_works_for_ten_minutes(transaction, verified_elsewhere_id, clock):
    code = show_code(transaction, verified_elsewhere_id)
    clock.move(timedelta(minutes=10))

    assert show_code(transaction, verified_elsewhere_id) is None
    assert enter_code(transaction, verified_elsewhere_id, code) is handover.CodeExpired


def test_a_code_works_for_five_attempts(transaction, verified_elsewhere_id):
    code = show_code(transaction, verified_elsewhere_id)
    wrong = different_code(code)

    assert [enter_code(transaction, verified_elsewhere_id, wrong) for _ in range(6)] == [handover.WrongCode] * 5 + [
        handover.CodeExpired
    ]
    assert enter_code(transaction, verified_elsewhere_id, code) is handover.CodeExpired
    assert show_code(transaction, verified_elsewhere_id) is None


def test_a_new_code_replaces_the_old_one_at_most_three_times_in_all(transaction, verified_elsewhere_id, clock):
    first = show_code(transaction, verified_elsewhere_id)
    for _ in range(2):
        clock.move(timedelta(minutes=1))
        with transaction():
            handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)

    assert show_code(transaction, verified_elsewhere_id) != first
    assert enter_code(transaction, verified_elsewhere_id, first) is handover.WrongCode
    with pytest.raises(handover.TooManyCodes), transaction():
        handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
    assert enter_code(transaction, verified_elsewhere_id, show_code(transaction, verified_elsewhere_id)) is None


def test_a_new_code_can_be_tried_five_times_again(transaction, verified_elsewhere_id):
    for _ in range(5):
        enter_code(transaction, verified_elsewhere_id, different_code(show_code(transaction, verified_elsewhere_id)))
    with transaction():
        handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)

    wrong = different_code(show_code(transaction, verified_elsewhere_id))
    assert [enter_code(transaction, verified_elsewhere_id, wrong) for _ in range(6)] == [handover.WrongCode] * 5 + [
        handover.CodeExpired
    ]


def test_two_codes_made_at_the_same_moment_differ(transaction, outbox, clock):
    codes = []
    for email in ("jo@oakhill.example", "al@elm.example"):
        with transaction():
            registration_id = a_registration(a_school(), email=email).id
        (link,) = (message.links[0] for message in outbox.all("verify_email") if message.to == email)
        with transaction():
            verify.accept_link(link.rpartition("/")[2], OTHER_BROWSER)
        codes.append(show_code(transaction, registration_id))

    assert codes[0] != codes[1]


def test_the_code_of_another_registration_is_wrong_here(transaction, outbox, verified_elsewhere_id, clock):
    clock.move(timedelta(minutes=1))
    with transaction():
        other = signup.begin(
            signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER).school, details(email="sam@oakhill.example"),
            browser=OTHER_BROWSER,
            return_to=None,
        ).id  # fmt: skip
    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OWN_BROWSER)
    with transaction():
        code = handover.code(signup.find_in_browser(other, OWN_BROWSER))

    assert code != show_code(transaction, verified_elsewhere_id)
    assert enter_code(transaction, verified_elsewhere_id, code) is handover.WrongCode


def test_of_two_browsers_that_continue_at_once_one_succeeds(transaction, run_concurrently, verified_elsewhere_id):
    code, continues_here = show_code(transaction, verified_elsewhere_id), [True, False]

    def choose():
        if continues_here.pop():
            return handover.continue_here(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
        handover.enter(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER), OWN_BROWSER, code)
        return True

    outcomes = run_concurrently(2, choose)

    won = [outcome for outcome in outcomes if outcome is True]
    lost = [outcome for outcome in outcomes if outcome is False or isinstance(outcome, handover.CodeExpired)]
    assert (len(won), len(lost)) == (1, 1)
    assert steps(transaction, verified_elsewhere_id) in (["sign_up", "show_code"], ["enter_code", "sign_up"])


def test_of_twenty_guesses_at_once_five_are_checked(transaction, run_concurrently, verified_elsewhere_id):
    wrong = different_code(show_code(transaction, verified_elsewhere_id))

    def guess():
        try:
            handover.enter(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER), OWN_BROWSER, wrong)
        except (handover.WrongCode, handover.CodeExpired) as refused:
            return type(refused)

    outcomes = run_concurrently(20, guess)

    assert outcomes.count(handover.WrongCode) == 5
    assert outcomes.count(handover.CodeExpired) == 15


def test_changing_the_address_invalidates_the_code(transaction, verified_elsewhere_id):
    code = show_code(transaction, verified_elsewhere_id)
    with transaction():
        registration = signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER)
        connection().execute(update(Registration.__table__).values(email="victim@elsewhere.example"))
        with pytest.raises(handover.CodeExpired):
            handover.enter(registration, OWN_BROWSER, code)


@pytest.mark.parametrize(
    "changed", [{"used_at": MONDAY}, {"expires_at": MONDAY}, {"code_made_at": MONDAY + timedelta(seconds=1)}]
)
@pytest.mark.parametrize("verb", ["enter", "continue_here"])
def test_a_registration_that_changed_meanwhile_does_not_continue(transaction, verified_elsewhere_id, changed, verb):
    code = show_code(transaction, verified_elsewhere_id)
    with transaction():
        registration = signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER)
        connection().execute(update(Registration.__table__).values(**changed))
        if verb == "enter":
            with pytest.raises(handover.CodeExpired):
                handover.enter(registration, OWN_BROWSER, code)
        else:
            assert handover.continue_here(registration, OTHER_BROWSER) == ("code_made_at" in changed)


def test_choosing_where_one_registration_continues_does_not_affect_another(
    transaction, outbox, verified_elsewhere_id, clock
):
    """Another registration of the same person, begun and verified in the same browsers."""
    clock.move(timedelta(minutes=1))
    with transaction():
        registration_id = signup.begin(a_school(), details(), browser=OWN_BROWSER, return_to=None).id
    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OTHER_BROWSER)
    before = steps(transaction, registration_id)
    with transaction():
        handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
        assert signup.find_in_browser(registration_id, OWN_BROWSER).codes_made == 1
    assert enter_code(transaction, verified_elsewhere_id, show_code(transaction, verified_elsewhere_id)) is None
    assert before == steps(transaction, registration_id) == ["enter_code", "show_code"]


def test_a_newer_link_decides_again_where_the_registration_continues(transaction, outbox, verified_elsewhere_id, clock):
    with transaction():
        handover.continue_here(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
    clock.move(timedelta(minutes=1))
    with transaction():
        verify.resend(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER))
    assert steps(transaction, verified_elsewhere_id) == ["enter_code", "sign_up"], "asking for a link changed a step"

    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OWN_BROWSER)
    with transaction():
        assert signup.step(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER), OWN_BROWSER) == "sign_up"
        with pytest.raises(signup.NotInThisBrowser):
            signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER)


def test_a_newer_link_resets_the_attempts_and_the_number_of_codes(transaction, outbox, verified_elsewhere_id, clock):
    for _ in range(2):
        with transaction():
            handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
    for _ in range(5):
        enter_code(transaction, verified_elsewhere_id, different_code(show_code(transaction, verified_elsewhere_id)))
    assert show_code(transaction, verified_elsewhere_id) is None
    clock.move(timedelta(minutes=1))
    with transaction():
        assert verify.resend(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER))
    with transaction():
        verify.accept_link(outbox.last("verify_email").secret, OTHER_BROWSER)

    wrong = different_code(show_code(transaction, verified_elsewhere_id))
    assert [enter_code(transaction, verified_elsewhere_id, wrong) for _ in range(6)] == [handover.WrongCode] * 5 + [
        handover.CodeExpired
    ]
    for _ in range(2):
        with transaction():
            handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
    with pytest.raises(handover.TooManyCodes) as refused, transaction():
        handover.renew(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)
    assert refused.value.retry_after == 600
    assert enter_code(transaction, verified_elsewhere_id, show_code(transaction, verified_elsewhere_id)) is None


def test_a_person_who_pressed_by_mistake_can_stop_the_registration(transaction, verified_elsewhere_id):
    with transaction():
        verify.stop_in_browser(signup.find_in_browser(verified_elsewhere_id, OTHER_BROWSER), OTHER_BROWSER)

    with pytest.raises(verify.RegistrationStopped), transaction():
        signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER)


def test_the_first_browser_cannot_report_that_the_registration_was_not_requested(transaction, verified_elsewhere_id):
    with pytest.raises(LinkUnknown), transaction():
        verify.stop_in_browser(signup.find_in_browser(verified_elsewhere_id, OWN_BROWSER), OWN_BROWSER)
