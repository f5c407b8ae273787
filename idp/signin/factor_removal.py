"""Remove a second factor. The last one stays while a school that the person acts for requires one of everyone.

The rows of the person's estabs and of the person are locked, in this order. So of two factors removed at the same
moment, the second is refused if it is the last; so is a removal at the moment at which a school begins to require a
second step.
"""

from idp.estabs import people
from idp.estabs.models import Administrator, Estab
from idp.foundation.database import lock
from idp.foundation.errors import Refusal
from idp.signin import authenticator_app, factors, passkeys, second_step_rule


class FactorNeeded(Refusal):
    """The factor is the person's last one, and a school requires a second step of them."""

    code, status, title = "factor_needed", 409, "You need this second step"
    message = "A school that you act for asks everyone for a second step. Please set up another one first."


def is_last_factor(person_id: str, passkey_id: str | None = None) -> bool:
    """Whether this passkey, or without an id their app, is the person's only second factor."""
    if passkey_id is None:
        return factors.kinds(person_id) == {factors.APP.name}
    is_only_passkey = [passkey.id for passkey in passkeys.list_for_person(person_id)] == [passkey_id]
    return is_only_passkey and factors.kinds(person_id) == {factors.PASSKEY.name}


def is_required(person: Administrator, passkey_id: str | None = None) -> bool:
    """Whether it is the person's only second factor, and a school requires one of them."""
    return is_last_factor(person.id, passkey_id) and second_step_rule.applies_to(person)


def remove_app(person: Administrator) -> bool:
    """Delete the person's authenticator app and tell them; False if they had none. Raises `FactorNeeded`."""
    _lock_person(person)
    if is_required(person):
        raise FactorNeeded(reason=person.id)
    if not authenticator_app.remove(person.id):
        return False
    factors.note_removed(person, factors.APP)
    return True


def remove_passkey(person: Administrator, passkey_id: str) -> None:
    """Delete a passkey of the person and tell them. Raises `FactorNeeded`, and `NotFound` for those of others."""
    _lock_person(person)
    if is_required(person, passkey_id):
        raise FactorNeeded(reason=person.id)
    passkeys.remove(person.id, passkey_id)
    factors.note_removed(person, factors.PASSKEY)


def _lock_person(person: Administrator) -> None:
    for estab_id in sorted(member.estab_id for member in person.memberships):
        lock(Estab, estab_id, shared=True)
    people.get_locked(person.id)
