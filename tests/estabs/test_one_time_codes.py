"""A code belongs to one person and one purpose."""

from datetime import timedelta

import pytest

from idp.estabs import one_time_codes
from idp.foundation.database import session

LIFETIME = timedelta(minutes=10)


@pytest.fixture
def codes(transaction, clock):
    """A code for each of two people and two purposes; its digest is made of both names."""
    with transaction():
        for person, purpose in ((a, b) for a in ("adm_jo", "adm_al") for b in ("mobile", "other")):
            digest = f"{person} {purpose}".encode()
            one_time_codes.issue(person, purpose, digest, clock.now(), LIFETIME, value="+447700900123")
            session().flush()


def test_five_attempts_use_up_the_code_of_one_person_and_purpose_only(transaction, codes):
    for _ in range(5):
        with transaction():
            assert one_time_codes.count_attempt("adm_jo", "mobile").digest == b"adm_jo mobile"
    with transaction():
        assert one_time_codes.count_attempt("adm_jo", "mobile") is None
        assert not one_time_codes.is_waiting("adm_jo", "mobile")
        for person, purpose in (("adm_jo", "other"), ("adm_al", "mobile")):
            assert one_time_codes.is_waiting(person, purpose)


def test_codes_issued_are_counted_for_one_person_and_purpose(transaction, codes, clock):
    with transaction():
        assert one_time_codes.issued_since("adm_jo", "mobile", clock.now() - LIFETIME) == 1
        assert one_time_codes.issued_since("adm_jo", "mobile", clock.now()) == 0


def test_a_code_of_another_person_or_purpose_is_not_used_up(transaction, codes):
    with transaction():
        assert not one_time_codes.spend("adm_al", "mobile", b"adm_jo mobile")
        assert not one_time_codes.spend("adm_jo", "other", b"adm_jo mobile")
        assert one_time_codes.spend("adm_jo", "mobile", b"adm_jo mobile")
        assert not one_time_codes.spend("adm_jo", "mobile", b"adm_jo mobile")
