"""Removals and changes of role by our staff, after they called the school. An owner who can sign in always remains."""

from idp.estabs import accounts, members, people
from idp.estabs.models import Membership
from idp.foundation.errors import Refusal
from idp.operate import recovery
from idp.signin import removal


class HasRoleAlready(Refusal):
    """The person has this role already, perhaps since a moment ago: nothing is changed, and no note is kept."""

    code, status, title = "has_role_already", 409, "This person has this role already"
    message = "This person has this role already. Nothing was changed, and your note was not kept."


def remove(name: str, estab: str, *, by: str, note: str) -> Membership:
    """Remove the person from the school. Raises `UnknownPerson`, `UnknownEstab` and `owners.LastOwner`."""
    member = _find(name, estab)
    removal.remove(member, by=by, note=note)
    return member


def change_role(name: str, estab: str, role: str, *, by: str, note: str) -> Membership:
    """Give the person another role at the school. Raises the errors of `remove`, and `HasRoleAlready`."""
    member = _find(name, estab)
    if not members.change_role(member, role, by=by, note=note):
        raise HasRoleAlready(reason=f"{member.person_id} is {role}")
    return member


def _find(name: str, estab: str) -> Membership:
    person, account = recovery.find(name), accounts.look_up(estab)
    member = people.membership(person.id, account.id)
    if member is None:
        raise recovery.UnknownPerson("This person does not act for that school.", reason=f"{person.id}, {account.id}")
    return member
