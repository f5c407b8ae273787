"""A person's passkeys and their challenges: what is stored, and what is accepted once."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs import people
from idp.foundation import crypto
from idp.foundation.errors import NotFound
from idp.signin import passkeys, webauthn_ceremonies
from idp.signin.models import Passkey, PasskeyChallenge
from tests.factories import an_administrator
from tests.signin.authenticator import BROWSER, Authenticator, a_passkey, b64, b64_decode


@pytest.fixture
def origin(settings):
    return settings.server.issuer


@pytest.fixture
def device(transaction, account, origin, clock):
    with transaction():
        return a_passkey(account.id, origin)


def creation_options(account, browser=BROWSER):
    return passkeys.creation_options(people.get(account.id), browser=browser)


def register(account, response, *, name="", browser=BROWSER):
    return passkeys.register(people.get(account.id), response, name=name, device="Firefox on Windows", browser=browser)


def use(response, purpose=passkeys.SIGN_IN, *, browser=BROWSER, person_id=None):
    parsed = webauthn_ceremonies.read_authentication(response)
    return passkeys.verify_use(parsed, purpose, browser=browser, person_id=person_id)


def test_creation_options_require_a_discoverable_passkey_and_user_verification(transaction, account):
    with transaction():
        options = creation_options(account)

    assert options["rp"]["id"] == "localhost"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert b64_decode(options["user"]["id"]).decode() == account.id
    assert options["user"]["name"] == account.email


def test_a_challenge_has_256_bits_and_only_its_digest_is_stored(transaction, account):
    with transaction():
        challenge = creation_options(account)["challenge"]

    assert len(b64_decode(challenge)) == 32
    with transaction() as session:
        assert [row.digest for row in session.scalars(select(PasskeyChallenge))] == [crypto.digest(challenge)]


def test_the_properties_of_a_registered_passkey_are_stored(transaction, account, origin, clock):
    device = Authenticator(origin, transports=("internal", "hybrid"), backed_up=True)
    with transaction():
        register(account, device.create(creation_options(account)), name="My laptop")

    with transaction() as session:
        row = session.scalars(select(Passkey)).one()
        assert (row.person_id, row.credential_id, row.name) == (account.id, device.credentials[0].id, "My laptop")
        assert row.transports == {"internal", "hybrid"}
        assert (row.can_be_backed_up, row.is_backed_up) == (True, True)
        assert (row.sign_count, row.created_at, row.last_used_at) == (0, clock.now(), None)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "Firefox on Windows"),
        ({"attachment": "cross-platform", "transports": ("usb", "nfc")}, "Security key"),
        ({"attachment": "cross-platform", "transports": ("hybrid", "internal")}, "Phone or tablet"),
        ({"attachment": "platform", "transports": ("hybrid", "internal")}, "Firefox on Windows"),
        ({"attachment": "platform", "transports": ("usb",)}, "Security key"),  # Safari says so of a key in the socket
    ],
)
def test_a_passkey_without_a_name_is_named_after_its_kind(transaction, account, origin, overrides, name):
    with transaction():
        assert register(account, Authenticator(origin, **overrides).create(creation_options(account))).name == name


@pytest.mark.parametrize("unknown", [{"attachment": "wearable"}, {"attachment": ["platform"]}, {"attachment": None}])
def test_an_attachment_that_we_do_not_know_counts_as_none(transaction, account, origin, clock, unknown):
    device = Authenticator(origin, **unknown)
    with transaction():
        passkey = register(account, device.create(creation_options(account)))

        assert use(device.get(passkeys.sign_in_options(browser=BROWSER))) is passkey


def test_creation_options_exclude_the_passkeys_that_the_person_has(transaction, account, device):
    with transaction():
        [descriptors] = creation_options(account)["excludeCredentials"]

    assert descriptors == {"id": b64(device.credentials[0].id), "type": "public-key", "transports": ["internal"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"verified": False},
        {"present": False},
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"type": "webauthn.get"},
        {"challenge": b64(bytes(32))},
        {"crossOrigin": True},
    ],
)
def test_a_wrong_registration_response_adds_no_passkey(transaction, account, origin, wrong):
    with transaction() as session:
        response = Authenticator(origin).create(creation_options(account), **wrong)
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(account, response)
        assert session.scalars(select(Passkey)).all() == []


def test_a_registration_response_is_accepted_once_in_its_browser_for_its_person_and_purpose(
    transaction, account, origin, clock
):
    device = Authenticator(origin)
    with transaction():
        other = an_administrator()
        options = creation_options(account)
        response = device.create(options)
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(account, response, browser="another")
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(other, response)
        assert register(account, response)
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(account, response)
        for_sign_in = passkeys.sign_in_options(browser=BROWSER)["challenge"]
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(account, device.create(options | {"challenge": for_sign_in}))


def test_a_challenge_lives_for_ten_minutes(transaction, account, origin, clock):
    with transaction():
        response = Authenticator(origin).create(creation_options(account))
        clock.move(timedelta(minutes=10))
        with pytest.raises(passkeys.PasskeyNotAdded):
            register(account, response)


def test_a_credential_is_registered_once(transaction, account, device, origin):
    with transaction():
        other = an_administrator()
        copy = Authenticator(origin)
        copy.new_id = device.credentials[0].id
        response = copy.create(passkeys.creation_options(other, browser=BROWSER))
        with pytest.raises(passkeys.PasskeyNotAdded):
            passkeys.register(other, response, name="", device="", browser=BROWSER)
        assert not passkeys.has_any(other.id)


def test_a_person_has_at_most_twenty_passkeys(transaction, account, origin):
    with transaction():
        for _ in range(passkeys.MAX_PER_PERSON):
            a_passkey(account.id, origin)
        response = Authenticator(origin).create(creation_options(account))
        with pytest.raises(passkeys.PasskeyNotAdded) as refused:
            register(account, response)
        assert "You can have 20 passkeys." in refused.value.message
        assert len(passkeys.list_for_person(account.id)) == passkeys.MAX_PER_PERSON


def test_using_a_passkey_raises_its_counter_and_says_when(transaction, account, device, clock):
    clock.move(timedelta(days=1))
    with transaction():
        used = use(device.get(passkeys.sign_in_options(browser=BROWSER)))
        assert used.person_id == account.id

    with transaction():
        [row] = passkeys.list_for_person(account.id)
        assert (row.sign_count, row.last_used_at) == (1, clock.now())


def test_a_passkey_without_a_counter_can_be_used_again(transaction, account, origin):
    with transaction():
        device = a_passkey(account.id, origin, counts=False)
        for _ in range(2):
            use(device.get(passkeys.sign_in_options(browser=BROWSER)))


def test_the_options_of_signing_in_name_no_credential(transaction, device):
    with transaction():
        options = passkeys.sign_in_options(browser=BROWSER)

    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"


def test_the_options_of_the_second_step_name_the_persons_own(transaction, account, device, origin):
    with transaction():
        a_passkey(an_administrator().id, origin)
        [descriptors] = passkeys.second_step_options(account.id, browser=BROWSER)["allowCredentials"]

    assert descriptors["id"] == b64(device.credentials[0].id)


def test_a_challenge_of_the_second_step_signs_no_one_in(transaction, account, device):
    with transaction():
        response = device.get(passkeys.second_step_options(account.id, browser=BROWSER))
        with pytest.raises(passkeys.PasskeyRefused):
            use(response)
        response = device.get(passkeys.sign_in_options(browser=BROWSER))
        with pytest.raises(passkeys.PasskeyRefused):
            use(response, passkeys.SECOND_STEP, person_id=account.id)
        options = passkeys.second_step_options(account.id, browser=BROWSER)
        response = device.get(options | {"challenge": creation_options(account)["challenge"]})  # to make a passkey
        with pytest.raises(passkeys.PasskeyRefused):
            use(response, passkeys.SECOND_STEP, person_id=account.id)


def test_another_persons_passkey_is_no_second_step(transaction, account, device, origin):
    with transaction():
        other = a_passkey(an_administrator().id, origin)
        options = passkeys.second_step_options(account.id, browser=BROWSER)
        response = other.get(options, credential=other.credentials[0])
        with pytest.raises(passkeys.PasskeyRefused):
            use(response, passkeys.SECOND_STEP, person_id=account.id)


def test_a_user_handle_that_is_another_persons_is_refused(transaction, account, device):
    with transaction():
        device.credentials[0].user_id = an_administrator().id.encode()
        with pytest.raises(passkeys.PasskeyRefused):
            use(device.get(passkeys.sign_in_options(browser=BROWSER)))


def test_of_several_responses_to_one_challenge_one_is_accepted(transaction, account, device, run_concurrently):
    with transaction():
        response = device.get(passkeys.sign_in_options(browser=BROWSER))

    outcomes = run_concurrently(4, lambda: use(response).id)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, passkeys.PasskeyRefused) for outcome in outcomes) == 3


def test_of_two_copies_with_one_counter_one_is_accepted(transaction, account, device, run_concurrently, outbox):
    with transaction():
        first = device.get(passkeys.sign_in_options(browser=BROWSER))
        device.credentials[0].sign_count = 0
        second = device.get(passkeys.sign_in_options(browser=BROWSER))
    credentials = [first, second]

    outcomes = run_concurrently(2, lambda: use(credentials.pop()).id)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, passkeys.PasskeyCopied) for outcome in outcomes) == 1


@pytest.mark.parametrize("count", [5, 4, 0])
def test_a_counter_that_did_not_rise_is_refused_recorded_and_mailed_once_an_hour(
    transaction, account, device, count, outbox
):
    with transaction() as session:
        session.scalars(select(Passkey)).one().sign_count = 5
    device.counts, device.credentials[0].sign_count = False, count
    for _ in range(2):
        with transaction(), pytest.raises(passkeys.PasskeyCopied):
            use(device.get(passkeys.sign_in_options(browser=BROWSER)))

    assert [mail.to for mail in outbox.all("passkey_copied")] == [account.email]
    with transaction() as session:
        assert len(session.scalars(select(Entry).where(Entry.event == events.PASSKEY_COPIED)).all()) == 2
        assert session.scalars(select(Passkey)).one().sign_count == 5


def test_what_is_done_with_one_passkey_changes_no_other(transaction, account, device, origin):
    with transaction():
        other = an_administrator().id
        newer = a_passkey(account.id, origin)
        a_passkey(other, origin)
        used = use(newer.get(passkeys.sign_in_options(browser=BROWSER)))
        passkeys.rename(account.id, used.id, "Mine")
    with transaction() as session:
        rows = session.scalars(select(Passkey).order_by(Passkey.created_at, Passkey.id)).all()
        assert sorted((row.id == used.id, row.sign_count, row.name == "Mine") for row in rows) == [
            (False, 0, False), (False, 0, False), (True, 1, True),
        ]  # fmt: skip
        passkeys.remove(account.id, used.id)
        assert len(passkeys.list_for_person(account.id)) == 1
        passkeys.forget(account.id)
        assert (passkeys.has_any(account.id), passkeys.has_any(other)) == (False, True)


def test_a_passkey_is_renamed_and_removed_by_its_person_only(transaction, account, device):
    with transaction():
        [row] = passkeys.list_for_person(account.id)
        stranger = an_administrator().id
        passkeys.rename(stranger, row.id, "Mine")
        for act in (passkeys.remove, passkeys.get):
            with pytest.raises(NotFound):
                act(stranger, row.id)
        passkeys.rename(account.id, row.id, "The office's computer")
    with transaction():
        assert passkeys.get(account.id, row.id).name == "The office's computer"
        assert passkeys.has_any(account.id)
        passkeys.remove(account.id, row.id)
        with pytest.raises(NotFound):
            passkeys.remove(account.id, row.id)
        assert not passkeys.has_any(account.id)
