"""A signature is valid at its exact length only, for ES256 and for RS256."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from idp.foundation import clock as clocks
from idp.keys import ring


def sign_token(alg="ES256"):
    """A signed token, split into its signing input and its signature."""
    token = ring.sign({"exp": clocks.timestamp() + 600, "sub": "adm_x"}, alg=alg)
    signing_input, _, signature = token.rpartition(".")
    return signing_input, urlsafe_b64decode(signature + "==")


def is_verified(signing_input, signature):
    """Whether the token with this signature is accepted."""
    try:
        ring.verify(f"{signing_input}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}", typ="at+jwt")
    except ring.TokenNotVerified:
        return False
    return True


@pytest.mark.parametrize("alg", ring.ALGS)
def test_a_signature_of_another_length_is_refused(transaction, alg):
    with transaction():
        signing_input, valid = sign_token(alg)
        half = len(valid) // 2
        invalid = [
            valid + b"\0", valid + valid, valid[:-1], valid[:half], b"\0" + valid, b"",
            valid[:half] + b"\0" + valid[half:],
        ]  # fmt: skip

        assert is_verified(signing_input, valid)
        assert [is_verified(signing_input, other) for other in invalid] == [False] * len(invalid)


def test_the_numbers_in_an_es256_signature_have_leading_zeros(transaction):
    with transaction():
        # One of 256 signatures has a zero there.
        signing_input, valid = next(signature for signature in iter(sign_token, None) if signature[1][32] == 0)

        assert is_verified(signing_input, valid)
        assert not is_verified(signing_input, valid[:32] + valid[33:])


def test_a_token_in_characters_outside_the_alphabet_is_refused(transaction):
    """Python's decoder skips such characters, so that one token could be written in many ways."""
    with transaction():
        token = ring.sign({"exp": clocks.timestamp() + 600})
        variants = [token + "=", token + "\n", " " + token, token.replace(".", ".\n", 1), token + "!", token + "."]

        for variant in variants:
            with pytest.raises(ring.TokenNotVerified):
                ring.verify(variant, typ="at+jwt")
