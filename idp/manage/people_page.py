"""The data of the People page: who acts for the school, who is invited, and who asks to join."""

from dataclasses import dataclass

from idp.estabs import people, person_invitations
from idp.estabs.models import Membership, PersonInvitation
from idp.estabs.permissions import TITLES, Action
from idp.foundation import dates
from idp.onboarding import join
from idp.onboarding.models import JoinRequest
from idp.signin import factors


@dataclass(frozen=True, slots=True)
class Person:
    """A person who acts for the school. Dates are formatted."""

    id: str
    name: str
    email: str
    role: str
    """The title of the role."""
    details: str
    """Since when, when they last signed in for this school, and for owners whether with a second step."""
    is_you: bool
    can_be_helped: bool
    """Whether the viewer can start what lets the person sign in again (`signin.colleagues`)."""
    has_second_step: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that was not answered. Dates are formatted."""

    id: str
    name: str
    email: str
    role: str
    """The title of the role."""
    invited_by: str
    valid_until: str
    is_expired: bool
    can_be_resent: bool


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """All data of the page."""

    school: str
    people: list[Person]
    invitations: list[Invitation]
    join_requests: list[JoinRequest]
    may_manage: bool


def build(member: Membership) -> PeoplePage:
    """The page as this person sees it. Only owners see invitations, requests, and who has a second step."""
    may_manage = member.may(Action.MANAGE_PEOPLE)
    return PeoplePage(
        school=member.estab.name,
        people=[_person(person, member, may_manage=may_manage) for person in people.list_for_estab(member.estab_id)],
        invitations=[_invitation(invitation) for invitation in person_invitations.waiting(member.estab_id)]
        if may_manage
        else [],
        join_requests=join.requests_for_owner(member),
        may_manage=may_manage,
    )


def successors(owner: Membership) -> list[Membership]:
    """The colleagues to whom an owner can hand over: those who can sign in."""
    colleagues = people.list_for_estab(owner.estab_id)
    return [
        colleague
        for colleague in colleagues
        if colleague.person_id != owner.person_id and colleague.person.password_hash is not None
    ]


def _person(member: Membership, viewer: Membership, *, may_manage: bool) -> Person:
    person, details = member.person, [f"Added on {dates.day(member.added_at)}."]
    if member.signed_in_at is None:
        details.append("Has not signed in for your school yet.")
    else:
        details.append(f"Last signed in for your school on {dates.day(member.signed_in_at)}.")
    has_second_step = may_manage and factors.has_any(person.id)
    if may_manage and person.password_hash is None:
        details.append("Has not chosen a password yet.")
    elif may_manage:  # others must not learn whose account is protected least
        details.append(f"Signs in with {'a password and a second step' if has_second_step else 'a password alone'}.")
    return Person(
        id=person.id, name=person.name, email=person.email, role=member.role_title, details=" ".join(details),
        is_you=person.id == viewer.person_id, has_second_step=has_second_step,
        can_be_helped=person.id != viewer.person_id and viewer.may(Action.HELP_COLLEAGUES) and member.estab.is_verified,
    )  # fmt: skip


def _invitation(row: PersonInvitation) -> Invitation:
    return Invitation(
        id=row.id, name=row.name, email=row.email, role=TITLES[row.role], invited_by=row.inviter.name,
        valid_until=dates.day_and_time(row.expires_at), is_expired=row.is_expired,
        can_be_resent=row.sent < person_invitations.MAX_MAILS,
    )  # fmt: skip
