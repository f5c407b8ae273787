"""The functions of the list of a person's sign-ins; its page is tested in `tests/manage/test_own_account_views.py`."""

from datetime import timedelta

import pytest

from idp.foundation import clock as clocks
from idp.signin import sign_ins
from idp.signin.own_sessions import OTHER_NETWORK, SAME_NETWORK, THIS_BROWSER
from idp.signin.session import SINGLE, SignedIn
from tests.factories import an_administrator

pytestmark = pytest.mark.usefixtures("clock")
OWN_ADDRESS, OTHER_ADDRESS = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def session_of(account):
    """`session_of("ses_1")` is a session of the account, as Flask-Login's `current_user` is."""

    def make(sid="ses_1", amr=("pwd",), estab_id=None, locked_estab_id=None):
        now = clocks.now()
        return SignedIn(
            kind="administrator", id=account.id, name="Jo", estab_id=estab_id, sid=sid, auth_time=now,
            amr=frozenset(amr), acr=SINGLE, locked_estab_id=locked_estab_id,
        )  # fmt: skip

    return make


def record(signed_in, address=OWN_ADDRESS, provider=None):
    sign_ins.record(signed_in, device="Edge on Windows", address=address, provider=provider)


@pytest.mark.parametrize(
    ("amr", "provider", "expected"),
    [
        ({"pwd"}, None, "Password"), ({"pwd", "otp", "mfa"}, None, "Password and code"),
        ({"pwd", "user", "mfa"}, None, "Password and passkey"), ({"user", "mfa"}, None, "Passkey"),
        (set(), "Google account", "Google account"), ({"otp"}, "Google account", "Google account and code"),
        ({"user", "otp"}, "Google account", "Google account and passkey"),
        ({"pwd"}, "Google account", "Google account"), (set(), None, ""),
    ],
)  # fmt: skip
def test_the_methods_of_a_sign_in_are_described(transaction, session_of, amr, provider, expected):
    with transaction():
        record(session_of(amr=amr), provider=provider)
        [sign_in], _ = sign_ins.newest(session_of(), OWN_ADDRESS)
    assert sign_in.method == expected


@pytest.mark.parametrize(
    ("sid", "address", "expected"),
    [
        ("ses_1", OTHER_ADDRESS, THIS_BROWSER),
        ("ses_2", OWN_ADDRESS, SAME_NETWORK),
        ("ses_2", OTHER_ADDRESS, OTHER_NETWORK),
    ],
)
def test_the_place_of_a_sign_in_is_described(transaction, session_of, sid, address, expected):
    with transaction():
        record(session_of(sid), address)
        [sign_in], _ = sign_ins.newest(session_of("ses_1"), OWN_ADDRESS)
    assert sign_in.place == expected


def test_a_school_that_requires_a_second_step_is_named_as_well(transaction, session_of, account):
    with transaction():
        for chosen in ({}, {"locked_estab_id": account.estab_id}, {"estab_id": account.estab_id}):
            record(session_of(**chosen))
        newest, _ = sign_ins.newest(session_of(), OWN_ADDRESS)
    assert sorted(sign_in.school or "" for sign_in in newest) == ["", account.school, account.school]


def test_a_last_page_that_is_full_has_no_older_ones(transaction, session_of):
    with transaction():
        for number in range(sign_ins.PER_PAGE):
            record(session_of(f"ses_{number}"))
        newest, has_older = sign_ins.newest(session_of(), OWN_ADDRESS)
        assert (len(newest), has_older) == (sign_ins.PER_PAGE, False)
        record(session_of("ses_x"))
        assert sign_ins.newest(session_of(), OWN_ADDRESS)[1]


def test_wrong_passwords_are_counted_by_person_and_day(transaction, account, clock):
    with transaction():
        other = an_administrator().id
    for person, times in ((account.id, 2), (other, 3)):
        for _ in range(times):
            with transaction():
                sign_ins.note_wrong_password(person)
    first = clocks.today()
    clock.move(timedelta(days=1))
    with transaction():
        sign_ins.note_wrong_password(account.id)
        assert sign_ins.wrong_passwords(account.id) == [(clocks.today(), 1), (first, 2)]
        assert sign_ins.wrong_passwords(other) == [(first, 3)]
