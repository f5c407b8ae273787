"""A partner's people: invited by an operator or by an owner of the partner's account, and removed by them."""

from typing import Final

from sqlalchemy import func, select

from idp.audit import events, log
from idp.estabs import links, people
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import advisory_lock, lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.outbox import post
from idp.partners import registry
from idp.partners.models import Partner
from idp.signin import session as browser_sessions
from idp.signin.code_accounts import DEVELOPERS, SET_UP_LIFETIME
from idp.signin.models import Developer

MAX_PEOPLE: Final = 50
"""The most people that one partner may have, counting those who were removed."""
MAX_LINKS_PER_DAY: Final = 20
"""The most people that one partner may invite in a day."""


class UnknownDeveloper(NotFound):
    """The partner has no such person."""

    code, title, message = "unknown_developer", "There is no such person", "There is no such person in this account."


class DeveloperExists(Refusal):
    """The address has an account already, of this partner or of another, or had one."""

    code, status, title = "developer_exists", 409, "This address cannot be invited"
    message = "This address cannot be invited. Please use another one, or ask us."


class TooManyPeople(Refusal):
    """The partner has as many people as it may have, or has invited too many today."""

    code, status, title = "too_many_developers", 409, "This account has invited too many people"
    message = "This account cannot invite more people just now. Please ask us."


class LastOwner(Refusal):
    """The partner would have no owner left to invite and remove people."""

    code, status, title = "last_developer_owner", 409, "This is the account's only owner"
    message = "This is the only owner of the account. Let someone else be an owner first."


def invite(partner: Partner, name: str, email: str, *, is_owner: bool, by: str) -> Developer:
    """Add a person of the partner and mail them a link to set up their account, or a new link if they have not done so.

    Raises `DeveloperExists` and `TooManyPeople`.
    """
    advisory_lock("people of a partner", partner.id)
    advisory_lock("developer's address", people.fold_email(email))
    developer, now = DEVELOPERS.find_by_address(email), clock.now()
    if developer is not None and (
        developer.partner_id != partner.id or developer.set_up_at is not None or developer.disabled_at is not None
    ):
        raise DeveloperExists(reason=developer.id)
    everyone = list_for_partner(partner.id)
    today = [colleague for colleague in everyone if (now - colleague.invited_at).days < 1]
    if len(today) >= MAX_LINKS_PER_DAY or (developer is None and len(everyone) >= MAX_PEOPLE):
        raise TooManyPeople(reason=partner.id)
    if developer is None:
        developer = Developer(
            id=crypto.new_id("dev"), partner_id=partner.id, name=name, email=email,
            email_folded=people.fold_email(email), password_hash=None, totp_sealed=None, totp_step=None,
            created_at=now, set_up_at=None, disabled_at=None,
        )  # fmt: skip
        session().add(developer)
    developer.is_owner, developer.invited_by, developer.invited_at = is_owner, by, now
    session().flush()
    link = runtime.url(f"/developers/set-up/{DEVELOPERS.issue_link(developer)}")
    post.email(
        "developer_invitation",
        to=email,
        expires=now + SET_UP_LIFETIME,
        company=partner.name,
        link=link,
        is_owner=is_owner,
    )
    log.record(events.DEVELOPER_INVITED, by=by, subject=developer.id, partner=partner.id, owner=is_owner)
    return developer


def list_for_partner(partner_id: str) -> list[Developer]:
    """All people of a partner, removed ones too, ordered by name."""
    statement = select(Developer).where(Developer.partner_id == partner_id)
    return list(session().scalars(statement.order_by(Developer.name, Developer.id)))


def addresses(partner_id: str) -> list[str]:
    """The e-mail addresses of the people of a partner who can sign in."""
    can_sign_in = Developer.set_up_at.is_not(None), Developer.disabled_at.is_(None)
    statement = select(Developer.email).where(Developer.partner_id == partner_id, *can_sign_in)
    return list(session().scalars(statement.order_by(Developer.email)))


def by_id(developer_id: str) -> Developer | None:
    """The developer with this id, even if they were removed."""
    return session().get(Developer, developer_id)


def remove(partner_id: str, developer_id: str, *, by: str) -> Developer:
    """Remove a person of the partner: their sessions end, and their link stops working. To repeat it is harmless.

    Raises `UnknownDeveloper`, and `LastOwner` where `by` is another person of the partner.
    """
    advisory_lock("people of a partner", partner_id)
    developer = lock(Developer, developer_id)
    if developer is None or developer.partner_id != partner_id:
        raise UnknownDeveloper(reason=developer_id)
    if developer.disabled_at is not None:
        return developer
    if by_id(by) is not None and developer.is_owner and _count_owners(partner_id) < 2:
        raise LastOwner(reason=developer_id)
    developer.disabled_at = clock.now()
    links.supersede(developer.id, DEVELOPERS.purpose)
    browser_sessions.end_all(developer.id, "disabled")
    log.record(events.DEVELOPER_REMOVED, by=by, subject=developer.id, partner=partner_id)
    return developer


def find(partner_name: str, email: str) -> Developer:
    """The person of this partner with this address. Raises `UnknownPartner` and `UnknownDeveloper`."""
    partner, developer = registry.partner(partner_name), DEVELOPERS.find_by_address(email)
    if developer is None or developer.partner_id != partner.id:
        raise UnknownDeveloper(reason="no such address")
    return developer


def _count_owners(partner_id: str) -> int:
    """How many owners of the partner's account can sign in."""
    can_sign_in = Developer.is_owner, Developer.set_up_at.is_not(None), Developer.disabled_at.is_(None)
    return session().scalar(select(func.count()).where(Developer.partner_id == partner_id, *can_sign_in)) or 0
