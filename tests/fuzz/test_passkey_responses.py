"""An authenticator's response as a browser sends it: never an internal error, and accepted only if it is unchanged."""

import json

import pytest
from hypothesis import given, strategies as st

from idp.signin import passkeys, webauthn_ceremonies
from tests import factories
from tests.fuzz import responses
from tests.fuzz.hostile import any_json, odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.test_endpoints import REGISTERED
from tests.signin.authenticator import BROWSER, Authenticator, a_passkey, b64, b64_decode, options_for
from tests.signin.person import Person

PASSKEY_FORM = "/sign-in/passkey"
ORIGIN_OF_TESTS = "http://localhost:5000"
VALID = {
    "register": Authenticator(ORIGIN_OF_TESTS).create(
        {"rp": {"id": "localhost"}, "user": {"id": b64(b"adm_x")}, "challenge": b64(bytes(32))}
    ),
}
_authenticator = Authenticator(ORIGIN_OF_TESTS)
_authenticator.create({"rp": {"id": "localhost"}, "user": {"id": b64(b"adm_x")}, "challenge": b64(bytes(32))})
VALID["use"] = _authenticator.get({"challenge": b64(bytes(32))})
BINARY_MEMBERS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle")


@st.composite
def tampered(draw, valid):
    """A response with one change: of a member, or of some bytes within one."""
    response = json.loads(valid)
    is_inner = draw(st.booleans())
    part = response["response"] if is_inner else response
    name = draw(st.sampled_from(sorted(part)))
    change = draw(st.sampled_from(["drop", "replace", "bytes"]))
    if change == "bytes" and is_inner and name in BINARY_MEMBERS:
        data = bytearray(b64_decode(part[name]))
        index = draw(st.integers(0, len(data) - 1))
        data[index : index + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
        part[name] = b64(bytes(data))
    elif change == "drop":
        del part[name]
    else:
        part[name] = draw(any_json | odd_text)
    return json.dumps(response)


def parse_and_verify(kind, text):
    """The response as parsed and verified; None where it was refused."""
    try:
        if kind == "register":
            return webauthn_ceremonies.read_registration(text).verify()
        return webauthn_ceremonies.read_authentication(text).verify(b"\xa1\x01\x02")
    except webauthn_ceremonies.InvalidAuthenticatorResponse:
        return None


@pytest.mark.parametrize("kind", VALID)
@fuzz_settings()
@given(data=st.data())
def test_any_webauthn_response_is_parsed_or_refused(target, kind, data):
    with target.transaction():
        parse_and_verify(kind, data.draw(odd_text | tampered(VALID[kind]) | any_json.map(json.dumps)))


@fuzz_settings()
@given(key=st.binary(max_size=120))
def test_a_malformed_stored_key_verifies_nothing(target, key):
    with target.transaction(), pytest.raises(webauthn_ceremonies.InvalidAuthenticatorResponse):
        webauthn_ceremonies.read_authentication(VALID["use"]).verify(key)


@fuzz_settings(0.2)
@given(data=st.data())
def test_a_tampered_passkey_response_signs_no_one_in(target, data):
    person = Person(target.browser())
    with target.transaction():
        account = factories.an_administrator().id
        device = a_passkey(account, target.settings.server.issuer)
    person.open("/sign-in?next=/manage")
    valid = device.get(options_for(person))
    sent = data.draw(tampered(valid))
    response = person.post(PASSKEY_FORM, passkey=sent)

    responses.check(response, REGISTERED, target.secrets)
    if response.status_code == 303:  # the change was in a part that is not signed, such as the list of extensions
        assert signed_parts(sent) == signed_parts(valid)
    else:
        assert response.status_code == 422


def signed_parts(text):
    """The members of a response that its signature covers, and the signature."""
    response = json.loads(text)
    return {
        name: b64_decode(response["response"][name]) for name in ("clientDataJSON", "authenticatorData", "signature")
    }


@fuzz_settings(0.2)
@given(data=st.data())
def test_a_tampered_registration_adds_a_passkey_for_its_person_or_none(target, data):
    with target.transaction():
        person = factories.an_administrator()
        device = Authenticator(target.settings.server.issuer)
        valid = device.create(passkeys.creation_options(person, browser=BROWSER))
        sent = data.draw(tampered(valid))
        try:
            added = passkeys.register(person, sent, name="", device="x", browser=BROWSER)
        except passkeys.PasskeyNotAdded:
            assert not passkeys.has_any(person.id)
        else:
            assert added.person_id == person.id
