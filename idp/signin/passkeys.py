"""A person's passkeys: make one, use it, rename it, remove it.

Each ceremony responds to a challenge of 256 bits that is stored here, bound to its purpose, browser and (except for
signing in) person, and spent by one conditional UPDATE before anything else is looked at. The signature counter is
compared and raised by one as well: of two uses of a copied key at once, one is refused.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import clock, crypto, dates, inserts
from idp.foundation.database import claim, lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.outbox import post
from idp.signin import guesses, webauthn_ceremonies
from idp.signin.models import Passkey, PasskeyChallenge
from idp.signin.webauthn_ceremonies import Authentication, InvalidAuthenticatorResponse, KnownCredential

REGISTER: Final = "register"
SIGN_IN: Final = "sign_in"
SECOND_STEP: Final = "second_step"
CHALLENGE_LIFETIME: Final = timedelta(minutes=10)
MAX_PER_PERSON: Final = 20
COPY_NOTICES_WINDOW: Final = timedelta(hours=1)
"""A person gets at most one notice of a copied passkey in this time."""


class PasskeyRefused(Refusal):
    """A passkey was not accepted. The page does not say why, because strangers may not learn whether we know it."""

    code, status, title = "passkey_refused", 401, "We could not sign you in with that passkey"
    message = (
        "We could not sign you in with that passkey. Please try once more. If it is refused again, it may have been "
        "removed from your account: sign in with your password."
    )


class PasskeyNotAdded(Refusal):
    """A new passkey was not accepted."""

    code, status, title = "passkey_not_added", 400, "The passkey was not added"
    message = "The passkey could not be added. Please try once more, and press the button within ten minutes."


class PasskeyCopied(PasskeyRefused):
    """The signature is right and its counter is not higher than the last one: another device has the same key."""

    code = "passkey_copied"
    message = (
        "That passkey seems to have been copied to another device, so we did not accept it. Sign in another way, "
        "remove the passkey on the Security page, and add a new one."
    )


def creation_options(person: Administrator, *, browser: str) -> dict[str, Any]:
    """What the browser needs to make a passkey for the person, with a challenge that works in this browser."""
    return webauthn_ceremonies.creation_options(
        _new_challenge(REGISTER, browser, person.id),
        user_id=person.id, user_name=person.email, display_name=person.name, held=_credentials_of(person.id),
    )  # fmt: skip


def sign_in_options(*, browser: str) -> dict[str, Any]:
    """What the browser needs to sign in with any passkey for this service; it is the same for everyone."""
    return webauthn_ceremonies.request_options(_new_challenge(SIGN_IN, browser, None))


def second_step_options(person_id: str, *, browser: str) -> dict[str, Any]:
    """What the browser needs to use a passkey of this person, whose password was right."""
    return webauthn_ceremonies.request_options(
        _new_challenge(SECOND_STEP, browser, person_id), _credentials_of(person_id)
    )


def register(person: Administrator, response: str, *, name: str, device: str, browser: str) -> Passkey:
    """Add the passkey of `response`; without a `name` it is called after its kind, or `device`, the browser in words.

    Raises `PasskeyNotAdded`; the challenge is spent either way, if the caller's transaction commits.
    """
    try:
        registration = webauthn_ceremonies.read_registration(response)
        _spend(registration.challenge, REGISTER, browser, person.id)
        new = registration.verify()
    except InvalidAuthenticatorResponse as error:
        raise PasskeyNotAdded(reason=str(error)) from error
    lock(Administrator, person.id)  # otherwise several at once would be more than the limit
    if len(list_for_person(person.id)) >= MAX_PER_PERSON:
        raise PasskeyNotAdded(f"You can have {MAX_PER_PERSON} passkeys. Please remove one that you no longer use.")
    passkey_id = crypto.new_id("pky")
    is_new = inserts.insert_if_absent(
        Passkey, id=passkey_id, person_id=person.id, credential_id=new.credential_id, public_key=new.public_key,
        sign_count=new.sign_count, transports=new.transports, can_be_backed_up=new.can_be_backed_up,
        is_backed_up=new.is_backed_up, name=name or _default_name(new, device), created_at=clock.now(),
    )  # fmt: skip
    if not is_new:
        raise PasskeyNotAdded(reason="the credential is registered already")
    return session().get_one(Passkey, passkey_id)


def read(response: str) -> Authentication:
    """The browser's `PublicKeyCredential` in its JSON form, read but not verified; raises `PasskeyRefused`."""
    try:
        return webauthn_ceremonies.read_authentication(response)
    except InvalidAuthenticatorResponse as error:
        raise PasskeyRefused(reason=str(error)) from error


def verify_use(response: Authentication, purpose: str, *, browser: str, person_id: str | None = None) -> Passkey:
    """The passkey that signed `response`, once its challenge is spent and its counter is raised.

    With `person_id` it must be theirs; without, the response itself must name the person, as that of a discoverable
    credential does (W3C Web Authentication §7.2, step 6). Raises `PasskeyRefused`; the caller must commit all the same.
    """
    try:
        _spend(response.challenge, purpose, browser, person_id)
        passkey = by_credential(response.credential_id)
        if passkey is None or not _belongs_to(passkey, response.user_handle, person_id):
            raise InvalidAuthenticatorResponse("not a credential of that person")  # noqa: TRY301  one way out for all of them
        used = response.verify(passkey.public_key)
    except InvalidAuthenticatorResponse as error:
        raise PasskeyRefused(reason=str(error)) from error
    is_later = Passkey.sign_count < used.sign_count
    if used.sign_count == 0:  # an authenticator without a counter, unless it had one before
        is_later = Passkey.sign_count == 0
    result = session().execute(
        update(Passkey)
        .where(Passkey.id == passkey.id, is_later)
        .values(sign_count=used.sign_count, is_backed_up=used.is_backed_up, last_used_at=clock.now())
        .returning(Passkey.id)
    )
    if result.first() is None:
        _note_copied(passkey)
        raise PasskeyCopied(reason=f"{passkey.id}: counter {used.sign_count}")
    return passkey


def by_credential(credential_id: bytes) -> Passkey | None:
    """The passkey with the credential id that its authenticator chose."""
    return session().scalar(select(Passkey).where(Passkey.credential_id == credential_id))


def list_for_person(person_id: str) -> Sequence[Passkey]:
    """A person's passkeys, oldest first."""
    statement = select(Passkey).where(Passkey.person_id == person_id).order_by(Passkey.created_at, Passkey.id)
    return session().scalars(statement).all()


def get(person_id: str, passkey_id: str) -> Passkey:
    """This person's passkey; raises `NotFound` for those of others."""
    passkey = session().get(Passkey, passkey_id)
    if passkey is None or passkey.person_id != person_id:
        raise NotFound(reason=f"{passkey_id} is not a passkey of {person_id}")
    return passkey


def has_any(person_id: str) -> bool:
    """Whether the person has a passkey."""
    return session().scalars(select(Passkey.id).where(Passkey.person_id == person_id).limit(1)).first() is not None


def rename(person_id: str, passkey_id: str, name: str) -> None:
    """Give the passkey another name; nothing happens if it has been removed meanwhile."""
    session().execute(update(Passkey).where(Passkey.id == passkey_id, Passkey.person_id == person_id).values(name=name))


def remove(person_id: str, passkey_id: str) -> None:
    """Delete the person's passkey; of several requests at once, one does. Raises `NotFound` as `get`."""
    statement = delete(Passkey).where(Passkey.id == passkey_id, Passkey.person_id == person_id)
    if session().execute(statement.returning(Passkey.id)).first() is None:
        raise NotFound(reason=f"{passkey_id} is not a passkey of {person_id}")


def forget(person_id: str) -> None:
    """Delete all of a person's passkeys."""
    session().execute(delete(Passkey).where(Passkey.person_id == person_id))


def _new_challenge(purpose: str, browser: str, person_id: str | None) -> str:
    challenge = crypto.new_secret()
    inserts.insert_if_absent(
        PasskeyChallenge, digest=crypto.digest(challenge), purpose=purpose, browser=crypto.digest(browser),
        person_id=person_id, expires_at=clock.now() + CHALLENGE_LIFETIME,
    )  # fmt: skip
    return challenge


def _spend(challenge: str, purpose: str, browser: str, person_id: str | None) -> None:
    digest, browser_digest = crypto.digest(challenge), crypto.digest(browser)
    if not claim(PasskeyChallenge, digest=digest, purpose=purpose, browser=browser_digest, person_id=person_id):
        raise InvalidAuthenticatorResponse("the challenge is unknown here, used or expired")


def _belongs_to(passkey: Passkey, user_handle: bytes | None, person_id: str | None) -> bool:
    if user_handle is None:
        return passkey.person_id == person_id
    return user_handle == passkey.person_id.encode() and person_id in {None, passkey.person_id}


def _credentials_of(person_id: str) -> list[KnownCredential]:
    return [KnownCredential(passkey.credential_id, passkey.transports) for passkey in list_for_person(person_id)]


def _default_name(new: webauthn_ceremonies.NewCredential, device: str) -> str:
    if not new.is_on_another_device:
        return device
    return "Phone or tablet" if "hybrid" in new.transports else "Security key"


def _note_copied(passkey: Passkey) -> None:
    """Record that two devices have the same key, and tell the person."""
    person = people.get(passkey.person_id)
    estab = person.sole_estab_id if person else None
    log.record(events.PASSKEY_COPIED, by="stranger", estab=estab, subject=passkey.person_id, passkey=passkey.id)
    count, _ = guesses.tally(guesses.key("copied passkey", passkey.person_id), COPY_NOTICES_WINDOW)
    if person is not None and count == 1:
        post.email(
            "passkey_copied", to=person.email, estab=person.sole_estab_id, name=person.name_in_mails,
            at=dates.day_and_time(clock.now()), added=dates.day(passkey.created_at),
        )  # fmt: skip
