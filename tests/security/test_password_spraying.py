"""security.md S52: few passwords tried at many accounts, from one network or from many; known browsers are not
affected.
"""

import logging
from datetime import timedelta

import pytest
from click.testing import CliRunner

from idp.audit import events
from idp.audit.models import Entry
from idp.cli import main
from idp.estabs.models import Administrator
from idp.signin import doctor, spraying
from tests.factories import an_administrator
from tests.signin.person import Person

pytestmark = pytest.mark.usefixtures("clock")
WRONG_PASSWORD = "Password1!Password1!"
NETWORK, ELSEWHERE = "192.0.2.{}", "198.51.100.{}"


@pytest.fixture(autouse=True)
def low_limits(change_settings):
    """Twenty names for a network in an hour; two while many fail over all networks, which is at forty."""
    change_settings(throttle={"factor": 1, "network_names": 20, "widespread_names": 40})


@pytest.fixture
def browser_at(new_browser):
    """`browser_at("192.0.2.7")` is a new browser at this address."""

    def make(address):
        person = Person(new_browser())
        person.web.environ_base["REMOTE_ADDR"] = address
        return person

    return make


@pytest.fixture
def username(transaction):
    with transaction():
        return an_administrator().username


@pytest.fixture
def owner(browser_at, username):
    """Has signed in before, at an address of the network, and is signed out."""
    person = browser_at(NETWORK.format(200))
    person.sign_in(username)
    person.submit("/sign-out")
    return person


def guess_at_many_names(browser_at, network, times, first=0):
    """Try a wrong password for each of many names, each from another address of the network."""
    return [
        browser_at(network.format(number % 200))
        .sign_in(f"office{first + number}@school.example", WRONG_PASSWORD)
        .status_code
        for number in range(times)
    ]


def test_a_network_that_fails_at_many_names_waits_though_each_address_and_name_failed_once(browser_at, username):
    assert guess_at_many_names(browser_at, NETWORK, 23) == [422] * 20 + [429] * 3
    refused = browser_at(NETWORK.format(9)).sign_in(username)

    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert "have signed in before works now" in " ".join(refused.text.split())
    assert browser_at(ELSEWHERE.format(9)).sign_in(username).status_code == 303


def test_a_network_may_try_again_after_an_hour(browser_at, username, clock):
    guess_at_many_names(browser_at, NETWORK, 20)
    clock.move(timedelta(minutes=59))
    assert browser_at(NETWORK.format(9)).sign_in(username).status_code == 429
    clock.move(timedelta(minutes=1))

    assert browser_at(NETWORK.format(9)).sign_in(username).status_code == 303


def test_one_name_counts_once_for_a_network(browser_at, username, clock):
    for _ in range(9):
        browser_at(NETWORK.format(1)).sign_in("typed-wrong@school.example", WRONG_PASSWORD)

    assert guess_at_many_names(browser_at, NETWORK, 18) == [422] * 18
    assert browser_at(NETWORK.format(1)).sign_in(username).status_code == 303


@pytest.mark.parametrize("network", [NETWORK, "2001:db8:7:{}::1", "::ffff:192.0.2.{}"])
def test_addresses_of_one_network_count_together(browser_at, username, network):
    assert guess_at_many_names(browser_at, network, 21)[-1] == 429
    assert browser_at(network.format(199)).sign_in(username).status_code == 429


def test_right_passwords_are_not_counted(browser_at, transaction):
    with transaction():
        names = [an_administrator().username for _ in range(21)]

    assert [browser_at(NETWORK.format(3)).sign_in(name).status_code for name in names] == [303] * 21


class TestManyNetworks:
    @pytest.fixture(autouse=True)
    def _fail_in_many_networks(self, clock, browser_at):
        """Twenty names fail in each of two networks, which reaches the limit for all networks together."""
        for number in (1, 2):
            assert guess_at_many_names(browser_at, f"203.0.{number}.{{}}", 20, first=100 * number) == [422] * 20

    def test_during_widespread_spraying_each_network_has_a_tenth_of_its_limit(self, browser_at, username):
        assert guess_at_many_names(browser_at, NETWORK, 4) == [422, 422, 429, 429]
        assert browser_at(NETWORK.format(9)).sign_in(username).status_code == 429

    def test_a_network_without_failures_keeps_its_limit(self, browser_at, username):
        assert browser_at(ELSEWHERE.format(1)).sign_in(username, WRONG_PASSWORD).status_code == 422
        assert browser_at(ELSEWHERE.format(1)).sign_in(username).status_code == 303

    def test_the_reduced_limit_ends_after_an_hour(self, browser_at, clock):
        clock.move(timedelta(hours=1))

        assert guess_at_many_names(browser_at, NETWORK, 20) == [422] * 20


class TestKnownBrowsers:
    def test_spraying_from_the_same_network_does_not_lock_out_a_known_browser(self, browser_at, owner, username):
        guess_at_many_names(browser_at, NETWORK, 25)
        assert browser_at(NETWORK.format(200)).sign_in(username).status_code == 429

        assert owner.sign_in(username).status_code == 303

    def test_spraying_from_many_networks_does_not_lock_out_a_known_browser(self, browser_at, owner, username):
        for number in (1, 2, 3):
            guess_at_many_names(browser_at, f"203.0.{number}.{{}}", 20, first=100 * number)
        guess_at_many_names(browser_at, NETWORK, 3)

        assert owner.sign_in(username).status_code == 303

    def test_spraying_from_the_same_address_does_not_lock_out_a_known_browser(
        self, browser_at, owner, username, change_settings
    ):
        change_settings(throttle={"factor": 1, "address_guesses": 5, "network_names": 1000})
        spray_here = [
            browser_at(NETWORK.format(200)).sign_in(f"x{number}@y.example", WRONG_PASSWORD) for number in range(7)
        ]
        assert [response.status_code for response in spray_here] == [422] * 5 + [429] * 2

        assert owner.sign_in(username).status_code == 303

    def test_a_known_browser_is_not_counted_and_is_known_to_its_own_name_only(self, browser_at, owner, username):
        for _ in range(3):
            owner.sign_in(username, WRONG_PASSWORD)
        assert guess_at_many_names(browser_at, NETWORK, 20) == [422] * 20

        assert owner.sign_in("office5@school.example", WRONG_PASSWORD).status_code == 429

    def test_guesses_at_invalid_names_count_for_the_limit_of_an_address(self, browser_at, owner, change_settings):
        change_settings(throttle={"factor": 1, "address_guesses": 2, "network_names": 1000})
        for name in ("x" * 400, "\x00"):
            owner.sign_in(name, WRONG_PASSWORD)

        assert owner.sign_in("office1@school.example", WRONG_PASSWORD).status_code == 429


def test_codes_of_a_reset_count_with_passwords(browser_at, transaction, outbox):
    with transaction() as session:
        for row in session.query(Administrator).all():
            row.mobile_confirmed_at = row.created_at
    guess_at_many_names(browser_at, NETWORK, 18)
    person = browser_at(NETWORK.format(1))
    for name in ("2139999", "2139999", "2139998"):
        person.submit("/reset", username=name)
        person.submit("/reset/code", code="000000")
        assert "not the code" in person.page_text

    person.submit("/reset", username="2139997")
    person.submit("/reset/code", code="000000")
    assert "typed wrong passwords for many accounts" in person.page_text


class TestOperators:
    def test_operators_see_spraying_in_logs_audit_log_doctor_and_a_command(
        self, app, browser_at, transaction, caplog, monkeypatch
    ):
        monkeypatch.setattr("idp.cli._create_app", lambda: app)
        with transaction():
            assert [finding.level for finding in doctor.password_spraying()] == ["ok"]
        with caplog.at_level(logging.WARNING):
            guess_at_many_names(browser_at, NETWORK, 22)
        records = [record for record in caplog.records if "many names" in record.getMessage()]
        assert len(records) == 1
        assert "192.0.2.0/24" in records[0].getMessage()
        with transaction() as session:
            (entry,) = session.query(Entry).filter_by(event=events.SPRAYING_SEEN)
            assert entry.facts == {"count": 20}
            assert [finding.level for finding in doctor.password_spraying()] == ["warning"]
            assert spraying.figures() == spraying.Figures(20, 1, is_widespread=False)
        printed = CliRunner().invoke(main, ["people", "locked"]).output
        assert "in browsers new to them: 20." in printed
        assert "Networks whose new browsers have to wait: 1." in printed
