"""security.md S49: rows that a caller can make without being signed in: each has a size, a count and a rate."""

import re
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select

from idp import worker
from idp.estabs.models import Administrator
from idp.federation.models import FederatedRequest
from idp.foundation import clock as clocks, crypto
from idp.foundation.database import db
from idp.foundation.retention import KeepNewest
from idp.jobs import cleaning
from idp.oidc.clients import bounds
from idp.oidc.models import AuthorizationRequest, DeviceCode, UsedJti
from idp.onboarding.models import EmailVerification, Registration
from idp.outbox.models import Message
from idp.partners import failure_log
from idp.partners.failure_log import Failure
from idp.partners.models import ClientEvent
from idp.signin import reset
from idp.signin.models import BrowserSession, Guesses, KnownDevice, PasswordReset
from tests.factories import a_client, a_school, an_administrator

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage.md"


@pytest.fixture
def low_limits(monkeypatch):
    """Lower the limits of the protocol's rows, so that tests reach them."""
    monkeypatch.setattr(bounds, "MAX_PER_NETWORK", 5)
    monkeypatch.setattr(bounds, "MAX_PER_CLIENT", 8)


def count_rows(transaction, model, *only):
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(model).where(*only))


def pending_path(response):
    """The path at which the pending request continues."""
    return parse_qs(urlsplit(response.location).query)["next"][0]


def from_address(address):
    return {"environ_overrides": {"REMOTE_ADDR": address}}


def test_the_document_lists_every_table_and_no_other():
    lines = re.findall(r"^\| ([a-z_, ]+) \| [^|]+ \| [^|]+ \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    named = [name for line in lines for name in line.split(", ") if name != "table"]
    assert sorted(named) == sorted(db.metadata.tables)


class TestRequests:
    def test_unknown_parameters_are_not_stored(self, web, world):
        web.get(world.partner.link(extra="x" * 4000, utm_source="y" * 4000))
        web.get(world.partner.link(code_verifier="v" * 43, client_secret="s" * 40))
        world.partner.post(web, "/oauth/par", world.partner.parameters(extra="z" * 4000))
        with world.transaction() as session:
            stored = session.scalars(select(AuthorizationRequest.params)).all()
        assert len(stored) == 3
        assert all(params["values"] == world.partner.parameters() for params in stored)

    @pytest.mark.parametrize("sent_by", ["by URL", "pushed"])
    def test_a_request_over_16_kilobytes_is_refused_naming_its_longest_parameter(self, web, world, sent_by):
        sent = world.partner.parameters(state="\N{SNOWMAN}" * 4000, nonce="n" * 500)
        if sent_by == "pushed":
            response = world.partner.post(web, "/oauth/par", sent)
            description = response.json["error_description"]
            assert response.status_code == 400
        else:
            description = web.get(world.partner.link(**sent)).location
        assert "state" in description
        assert "16384" in description
        assert count_rows(world.transaction, AuthorizationRequest) == 0

    def test_long_parameters_of_legitimate_requests_fit(self, web, world):
        assert "error" not in web.get(world.partner.link(state="s" * 4096, nonce="n" * 512)).location
        assert count_rows(world.transaction, AuthorizationRequest) == 1

    def test_a_resource_repeated_is_stored_once(self, web, world):
        link = world.partner.link() + "&resource=urn:none" * 500
        web.get(link)
        assert count_rows(world.transaction, AuthorizationRequest) <= 1

    def test_pending_requests_of_an_address_are_limited_and_the_oldest_deleted(
        self, new_browser, world, low_limits, clock
    ):
        browsers = [new_browser() for _ in range(8)]
        paths = []
        for browser in browsers:
            paths.append(pending_path(browser.get(world.partner.link(), **from_address("192.0.2.1"))))
            clock.move(timedelta(seconds=1))
        other = new_browser()
        elsewhere = pending_path(other.get(world.partner.link(), **from_address("198.51.100.9")))
        assert count_rows(world.transaction, AuthorizationRequest) == 6
        assert browsers[0].get(paths[0]).status_code == 400
        assert browsers[-1].get(paths[-1]).status_code == 303
        assert other.get(elsewhere).status_code == 303

    def test_completed_requests_count_towards_the_limit(self, web, world, low_limits):
        for _ in range(9):
            assert "login_required" in web.get(world.partner.link(prompt="none")).location
        assert count_rows(world.transaction, AuthorizationRequest) <= 5

    def test_addresses_of_one_network_share_the_limit(self, new_browser, world, low_limits):
        for number in range(9):
            new_browser().get(world.partner.link(), **from_address(f"2001:db8:1:1::{number:x}"))
        assert count_rows(world.transaction, AuthorizationRequest) == 5

    def test_pending_requests_of_a_client_are_limited_over_all_addresses(self, new_browser, world, low_limits):
        for number in range(12):
            new_browser().get(world.partner.link(), **from_address(f"192.0.2.{number}"))
        assert count_rows(world.transaction, AuthorizationRequest) == 8

    def test_unauthenticated_requests_do_not_displace_pushed_ones(self, new_browser, world, low_limits):
        pushed = world.partner.post(new_browser(), "/oauth/par", world.partner.parameters()).json["request_uri"]
        for number in range(20):
            new_browser().get(world.partner.link(), **from_address(f"192.0.2.{number}"))
        response = new_browser().get(
            "/oauth/authorize", query_string={"client_id": world.partner.id, "request_uri": pushed}
        )
        assert response.status_code == 303

    def test_pushed_requests_of_a_client_have_a_higher_limit(self, web, world, low_limits):
        for _ in range(12):
            world.partner.post(web, "/oauth/par", world.partner.parameters())
        assert count_rows(world.transaction, AuthorizationRequest) == 8

    def test_a_public_client_has_the_limit_of_unauthenticated_requests(self, web, world, low_limits):
        public = world.new_partner(token_endpoint_auth_method="none")
        for _ in range(7):
            assert public.post(web, "/oauth/par", public.parameters()).status_code == 201
        assert count_rows(world.transaction, AuthorizationRequest) == 5


class TestDeviceCodes:
    GRANTS = frozenset({"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"})

    def test_device_codes_of_an_address_are_limited(self, web, world, low_limits):
        device = world.new_partner(token_endpoint_auth_method="none", grant_types=self.GRANTS)
        for _ in range(9):
            response = device.post(web, "/oauth/device_authorization", {"scope": "school", "extra": "x" * 4000})
            assert response.status_code == 200
        assert count_rows(world.transaction, DeviceCode) == 5

    def test_device_codes_of_an_authenticated_client_are_limited(self, web, world, low_limits):
        device = world.new_partner(grant_types=self.GRANTS)
        for _ in range(12):
            assert device.post(web, "/oauth/device_authorization", {"scope": "school"}).status_code == 200
        assert count_rows(world.transaction, DeviceCode) == 8


class TestTrimming:
    @pytest.fixture
    def keep_three(self, monkeypatch):
        small = tuple(replace(rule, limit=3) if isinstance(rule, KeepNewest) else rule for rule in worker.RETENTION)
        monkeypatch.setattr(worker, "RETENTION", small)
        monkeypatch.setattr(cleaning, "BATCH_SIZE", 2)
        monkeypatch.setattr(cleaning, "PAUSE_SECONDS", 0)

    def test_registrations_and_their_proofs_are_trimmed(self, transaction, keep_three):
        with transaction() as session:
            school, now = a_school(), clocks.now()
            for number in range(8):
                session.add(
                    Registration(
                        id=f"reg-{number}", school_id=school.id, name="Jo", email=f"{number}@oakhill.example",
                        mobile="+447700900123", declared_at=now, browser=b"b", created_at=now,
                        expires_at=now + timedelta(days=1, seconds=number),
                    )
                )  # fmt: skip
                session.flush()
                if number > 2:
                    session.add(
                        EmailVerification(
                            digest=secrets.token_bytes(32), purpose="register", registration_id=f"reg-{number}",
                            email="a@b.example", email_folded="a@b.example", created_at=now,
                            expires_at=now + timedelta(seconds=number),
                        )
                    )  # fmt: skip
        worker.clean(transaction)
        with transaction() as session:
            assert sorted(session.scalars(select(EmailVerification.registration_id))) == ["reg-5", "reg-6", "reg-7"]
            assert sorted(session.scalars(select(Registration.id))) == [f"reg-{number}" for number in range(2, 8)]

    def test_requests_to_other_providers_are_trimmed(self, transaction, keep_three):
        with transaction() as session:
            for number in range(8):
                created_at, digest = clocks.now() + timedelta(seconds=number), bytes([number])
                session.add(
                    FederatedRequest(
                        digest=digest, provider="google", browser=b"b", sid=None, sealed="", return_path="/",
                        created_at=created_at, expires_at=created_at + timedelta(minutes=10), used_at=None,
                    )
                )  # fmt: skip
        worker.clean(transaction)
        with transaction() as session:
            assert sorted(session.scalars(select(FederatedRequest.digest))) == [bytes([number]) for number in (5, 6, 7)]

    def test_counts_of_guesses_are_trimmed_and_locks_last(self, transaction, keep_three):
        with transaction() as session:
            now = clocks.now()
            locked = now + timedelta(minutes=75)
            session.add(Guesses(key=b"locked", count=10, locked_until=now + timedelta(minutes=15), expires_at=locked))
            for number in range(9):
                later = now + timedelta(minutes=5, seconds=number)
                session.add(Guesses(key=crypto.digest(str(number)), count=1, locked_until=None, expires_at=later))
        worker.clean(transaction)
        with transaction() as session:
            keys = session.scalars(select(Guesses.key)).all()
        assert len(keys) == 3
        assert b"locked" in keys

    def test_ended_sessions_and_devices_of_one_person_are_trimmed(self, transaction, keep_three):
        with transaction() as session:
            now, busy, other = clocks.now(), an_administrator(), an_administrator()
            for person, times in ((busy, 7), (other, 2)):
                for number in range(times):
                    for ended in (None, now):
                        session.add(a_session(person, number, ended))
                    until = now + timedelta(days=number + 1)
                    session.add(KnownDevice(digest=secrets.token_bytes(32), person_id=person.id, expires_at=until))
            busy_id, other_id = busy.id, other.id
        worker.clean(transaction)
        is_over, same_person = BrowserSession.ended_at.is_not(None), BrowserSession.person_id == busy_id
        assert count_rows(transaction, BrowserSession, same_person, is_over) == 3
        assert count_rows(transaction, BrowserSession, same_person, ~is_over) == 7  # those end by themselves
        assert count_rows(transaction, KnownDevice, KnownDevice.person_id == busy_id) == 3
        assert count_rows(transaction, BrowserSession, BrowserSession.person_id == other_id) == 4
        assert count_rows(transaction, KnownDevice, KnownDevice.person_id == other_id) == 2

    def test_password_resets_are_trimmed_except_accepted_ones(self, transaction, keep_three, clock):
        for number in range(6):
            clock.move(timedelta(seconds=1))
            with transaction() as session:
                row = reset.find_by_browser(reset.begin(f"unknown-{number}", device=None))
                if number == 0:
                    session.get_one(PasswordReset, row.id).proven_at = clocks.now()
        worker.clean(transaction)
        assert count_rows(transaction, PasswordReset, PasswordReset.proven_at.is_(None)) == 3
        assert count_rows(transaction, PasswordReset) == 4

    def test_sent_and_failed_messages_are_trimmed_and_waiting_ones_kept(self, transaction, keep_three):
        with transaction() as session:
            now = clocks.now()
            for number in range(6):
                for state in ({"sent_at": now}, {"failed_at": now}, {}):
                    session.add(
                        Message(
                            id=crypto.new_id("msg"), kind="email", name="x", created_at=now, due_at=now,
                            give_up_at=now, attempts=number, **state,
                        )
                    )  # fmt: skip
        worker.clean(transaction)
        waits = Message.sent_at.is_(None) & Message.failed_at.is_(None)
        assert count_rows(transaction, Message, waits) == 6
        assert count_rows(transaction, Message) == 12

    def test_ids_of_dpop_proofs_are_deleted_once_the_proofs_are_too_old(self, transaction, clock):
        with transaction() as session:
            session.add(UsedJti(digest=b"old", expires_at=clocks.now() - timedelta(seconds=1)))
            session.add(UsedJti(digest=b"new", expires_at=clocks.now() + timedelta(seconds=1)))
        worker.clean(transaction)
        with transaction() as session:
            assert session.scalars(select(UsedJti.digest)).all() == [b"new"]


def test_repeated_resets_for_an_unknown_name_store_a_bounded_number_of_messages(transaction):
    for _ in range(8):
        with transaction():
            reset.begin("unknown@oakhill.example", device=None)
    assert count_rows(transaction, Message) == 6
    assert count_rows(transaction, Message, Message.sent_at.is_not(None), Message.sealed.is_(None)) == 6


def test_the_log_of_a_client_keeps_the_newest_entries(transaction, monkeypatch):
    monkeypatch.setattr(failure_log, "MAX_EVENTS", 4)
    with transaction():
        client = a_client().id
        for name in "abcdefghi":
            failure_log.record(client, Failure("GET /", "invalid_request", name, f"{name} " + "x" * 9000))
    with transaction() as session:
        facts = session.scalars(select(ClientEvent.fact)).all()
    assert len(facts) == 4
    assert max(len(fact) for fact in facts) <= failure_log.MAX_FACT_LENGTH


def a_session(person: Administrator, number: int, ended):
    now = clocks.now()
    return BrowserSession(
        digest=secrets.token_bytes(32), sid=crypto.new_id("ses"), kind="administrator", person_id=person.id,
        signed_in_at=now, amr=frozenset({"pwd"}), acr="x", device="x", address="192.0.2.1", created_at=now,
        last_used_at=now, expires_at=now + timedelta(hours=number), ended_at=ended, why_ended=None,
    )  # fmt: skip
