"""Sign in with a passkey: by itself, or as the second step after a password.

By itself it is subject to the checks that a password is: counters and locks, the limit of sign-ins, the school's state.
The response does not show whether we know the credential, and no password is hashed.
"""

from typing import Final

from idp.estabs import people
from idp.estabs.models import Administrator
from idp.signin import devices, factor_recovery, guesses, passkeys, password, second_step
from idp.signin.passkeys import PasskeyRefused
from idp.signin.second_step import HalfSignedIn

METHODS: Final = frozenset({"user", "mfa"})
"""`amr` (RFC 8176): a person was present, and two factors were used, the key and what unlocks it. Neither `hwk` nor
`swk` is claimed: without attestation it is unknown where the key is kept. Nor is `pin` or `fpt`: only the device
knows."""


def sign_in(response: str, *, browser: str, device: str | None) -> Administrator:
    """The administrator whose passkey made `response`, the JSON form of the browser's `PublicKeyCredential`.

    Raises `PasskeyRefused`, `guesses.Locked`, `guesses.TooManySignIns` and `password.AccountNotOpen`. The challenge is
    spent and the guess counted only if the caller's transaction commits: catch these errors and render a page.
    """
    authentication = passkeys.read(response)
    passkey = passkeys.by_credential(authentication.credential_id)
    person_id = passkey.person_id if passkey else None
    person = people.get_locked(person_id) if person_id else None
    counter = devices.guess_counter(person_id, device) if person_id else None
    locks = guesses.count(counter) if counter else False
    try:
        passkeys.verify_use(authentication, passkeys.SIGN_IN, browser=browser)
    except PasskeyRefused:
        if person_id:  # unknown credentials are not logged: anyone can send any number
            password.note_failure(person_id, locks=locks)
        raise
    guesses.forget(counter)
    if person is None:
        raise PasskeyRefused(reason=f"{person_id} was removed")
    password.check_may_sign_in(person)
    factor_recovery.stop_for(person.id)
    return person


def complete(half_signed_in: HalfSignedIn, response: str, *, browser: str) -> None:
    """Sign in a person whose password was right by a passkey of theirs.

    Raises `PasskeyRefused`, and as `second_step.complete` does `guesses.Locked` and `second_step.StepExpired`; the
    caller must render a page.
    """
    refusals: list[PasskeyRefused] = []

    def prove() -> bool:
        try:
            passkeys.verify_use(
                passkeys.read(response), passkeys.SECOND_STEP, browser=browser, person_id=half_signed_in.person_id
            )
        except PasskeyRefused as error:
            refusals.append(error)
        return not refusals

    try:
        second_step.complete(half_signed_in, prove, METHODS)
    except second_step.WrongAnswer as wrong_answer:
        raise refusals[0] from wrong_answer
