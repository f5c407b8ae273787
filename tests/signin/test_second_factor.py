"""Codes of an authenticator app, against the examples of RFC 6238."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from idp.foundation import clock
from idp.signin import second_factor

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # the 20 bytes of RFC 6238, appendix B


@pytest.mark.parametrize(("at", "code"), [(1234567890, "005924"), (1111111109, "081804"), (20000000000, "353130")])
def test_codes_match_the_test_vectors_of_rfc_6238(at, code):
    with clock.fixed(datetime.fromtimestamp(at, UTC)):
        assert second_factor.step_of(SEED, code) == at // 30
        assert second_factor.step_of(SEED, f"{code[:3]} {code[3:]}") == at // 30
    with clock.fixed(datetime.fromtimestamp(at + 30, UTC)):
        assert second_factor.step_of(SEED, code) == at // 30
    with clock.fixed(datetime.fromtimestamp(at + 60, UTC)):
        assert second_factor.step_of(SEED, code) is None
    with clock.fixed(datetime.fromtimestamp(at - 30, UTC)):
        assert second_factor.step_of(SEED, code) is None


@pytest.mark.parametrize("code", ["", "28708", "2870820", "abcdef", "\uff12\uff18\uff17\uff10\uff18\uff12", "\0"])
def test_other_text_is_refused_as_a_code(code):
    with clock.fixed(datetime.fromtimestamp(59, UTC)):
        assert second_factor.step_of(SEED, code) is None


def test_a_seed_has_160_random_bits():
    assert len(second_factor.new_seed()) == 32
    assert second_factor.new_seed() != second_factor.new_seed()


def test_the_link_names_the_service_and_the_account(app):
    with app.app_context():
        parts = urlsplit(second_factor.link(SEED, "sam@idaas.example"))

    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parse_qs(parts.query) == {"secret": [SEED], "issuer": ["IDaaS"]}


def test_a_colon_in_the_name_of_the_service_does_not_end_it_in_the_link(app, change_settings):
    change_settings(service={"name": "Schools: sign in & out"})
    with app.app_context():
        parts = urlsplit(second_factor.link(SEED, "sam@idaas.example"))

    assert unquote(parts.path) == "/Schools sign in & out:sam@idaas.example"
    assert parse_qs(parts.query)["issuer"] == ["Schools sign in & out"]
