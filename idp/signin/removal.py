"""Remove a person from a school, and end the sessions in which they act for it."""

from idp.estabs import members
from idp.estabs.models import Membership
from idp.signin import devices, factors, session


def remove(member: Membership, *, by: Membership | str, note: str = "") -> None:
    """End a membership, and the sessions for that school. Raises the errors of `members.remove`.

    With their last membership a person's account is closed: their other sessions, second factors and known browsers go,
    too. `by` is an owner, the member themselves, or our staff.
    """
    is_last = members.remove(member, by=by, note=note)
    session.end_all(member.person_id, "removed", estab_id=None if is_last else member.estab_id)
    if is_last:
        factors.forget_all(member.person_id)
        devices.forget_all(member.person_id)
