"""The data of the page People: who acts for the school, who is invited, and who asks to join."""

from dataclasses import dataclass

from idp.estabs import invitations, people
from idp.estabs.models import Membership, PersonInvitation
from idp.estabs.permissions import TITLES, Action
from idp.foundation import dates
from idp.onboarding import join
from idp.onboarding.models import JoinRequest
from idp.signin import factors


@dataclass(frozen=True, slots=True)
class Line:
    """A person who acts for the school. Dates are formatted."""

    id: str
    name: str
    email: str
    role: str
    """As the page calls it."""
    facts: str
    """Since when, when they last signed in for this school, and for owners whether with a second step."""
    is_you: bool
    may_be_helped: bool
    """Whether the viewer can start what lets the person sign in again (`signin.colleagues`)."""
    has_second_step: bool


@dataclass(frozen=True, slots=True)
class Invited:
    """A person who was invited and has not answered."""

    id: str
    name: str
    email: str
    role: str
    """As the page calls it."""
    by: str
    until: str
    is_expired: bool
    may_be_sent_again: bool


@dataclass(frozen=True, slots=True)
class People:
    """All data of the page."""

    school: str
    lines: list[Line]
    invited: list[Invited]
    asking: list[JoinRequest]
    may_manage: bool


def of(member: Membership) -> People:
    """The page for this person. Only owners see invitations, requests, and who has a second step."""
    may_manage = member.may(Action.MANAGE_PEOPLE)
    return People(
        school=member.estab.name,
        lines=[_line(each, member, may_manage=may_manage) for each in people.of_estab(member.estab_id)],
        invited=[_invited(each) for each in invitations.waiting(member.estab_id)] if may_manage else [],
        asking=join.waiting_for(member),
        may_manage=may_manage,
    )


def successors(owner: Membership) -> list[Membership]:
    """The colleagues to whom an owner can hand over: those who can sign in."""
    colleagues = people.of_estab(owner.estab_id)
    return [each for each in colleagues if each.person_id != owner.person_id and each.person.password_hash is not None]


def _line(each: Membership, viewer: Membership, *, may_manage: bool) -> Line:
    person, facts = each.person, [f"Since {dates.day(each.added_at)}."]
    if each.signed_in_at is None:
        facts.append("Has not signed in for your school yet.")
    else:
        facts.append(f"Last signed in for your school on {dates.day(each.signed_in_at)}.")
    has_second_step = may_manage and factors.has_any(person.id)
    if may_manage:  # an intruder at another's browser should not learn whose account is protected least
        facts.append(f"Signs in with {'a second step' if has_second_step else 'a password alone'}.")
    return Line(
        id=person.id, name=person.name, email=person.email, role=each.role_title, facts=" ".join(facts),
        is_you=person.id == viewer.person_id, has_second_step=has_second_step,
        may_be_helped=person.id != viewer.person_id and viewer.may(Action.HELP_COLLEAGUES) and each.estab.is_verified,
    )  # fmt: skip


def _invited(each: PersonInvitation) -> Invited:
    return Invited(
        id=each.id, name=each.name, email=each.email, role=TITLES[each.role], by=each.inviter.name,
        until=dates.weekday(each.expires_at), is_expired=each.is_expired,
        may_be_sent_again=each.sent < invitations.MAX_MAILS,
    )  # fmt: skip
