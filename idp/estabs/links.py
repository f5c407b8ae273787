"""Links for one person and one purpose: each works once, expires, and is superseded by a newer one.

Following a link only shows a page, because mail scanners follow links too; submitting that page's form uses it up.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import advisory_lock, claim, lock, session
from idp.foundation.errors import Refusal
from idp.outbox import post

WELCOME = "welcome"
"""The purpose of links with which a person who was added chooses a password."""
WELCOME_LIFETIME = timedelta(days=7)
MAX_WELCOME_LINKS_PER_HOUR = 3
RESET = "reset"
"""The purpose of links to choose a new password, which a change of the password revokes."""


class LinkRefused(Refusal):
    """The link cannot be used; each subclass is one reason."""

    code, status, title = "link_refused", 410, "This link cannot be used"


class LinkUnknown(LinkRefused):
    """There is no such link, or it was deleted after it expired."""

    code, status, title = "link_unknown", 404, "We do not recognise this link"
    message = "Please check that the whole address was copied, or ask for a new link."


class LinkUsed(LinkRefused):
    """The link was used before."""

    code, title = "link_used", "This link has been used already"
    message = (
        "Each link works only once, so that no one else can use it after you. If you did not use it, please tell us."
    )


class LinkSuperseded(LinkRefused):
    """A newer link was issued."""

    code, title = "link_superseded", "There is a newer link"
    message = (
        "We have sent you a newer link since then, and only the newest one works. Please look for it in your e-mail."
    )


class LinkRevoked(LinkRefused):
    """The link was revoked, and none was issued in its place."""

    code, title = "link_revoked", "This link no longer works"
    message = "Your account has changed since we sent it, for instance its password, and that ends links sent before."


class LinkExpired(LinkRefused):
    """The link is past its expiry."""

    code, title = "link_expired", "This link has expired"
    message = "Links work for a limited time only. Please ask for a new one."


def issue_welcome_url(person: Administrator) -> str:
    """A URL, for a mail, at which a person who was added chooses a password. Earlier ones stop working."""
    return runtime.url(f"/welcome/{issue(person.id, WELCOME, WELCOME_LIFETIME)}")


def resend_welcome(secret: str) -> None:
    """Mail a new welcome link to this link's person if they have no password yet; otherwise do nothing, silently."""
    link = session().get(PersonalSecret, crypto.digest(secret))
    if link is not None and link.purpose == WELCOME:
        send_welcome(link.person_id)


def send_welcome(person_id: str) -> None:
    """As `resend_welcome`, for the person with this id; at most `MAX_WELCOME_LINKS_PER_HOUR`."""
    person = lock(Administrator, person_id)  # a second request, or a password chosen at the same moment, waits
    if (
        person is None
        or person.removed_at is not None
        or person.password_hash is not None
        or _count_recent(person.id) >= MAX_WELCOME_LINKS_PER_HOUR
    ):
        return
    post.email(
        "welcome_link", to=person.email, expires=clock.now() + WELCOME_LIFETIME, estab=person.sole_estab_id,
        name=person.name_in_mails, school=person.memberships[0].estab.name, link=issue_welcome_url(person),
        days=WELCOME_LIFETIME.days,
    )  # fmt: skip


def _count_recent(person_id: str) -> int:
    """How many welcome links a person was sent within the last hour."""
    conditions = PersonalSecret.person_id == person_id, PersonalSecret.purpose == WELCOME
    recent = PersonalSecret.created_at > clock.now() - timedelta(hours=1)
    return session().scalar(select(func.count()).select_from(PersonalSecret).where(*conditions, recent)) or 0


def issue(person_id: str, purpose: str, lifetime: timedelta, *, value: str | None = None) -> str:
    """A new secret for a link; it supersedes earlier ones of the same person and purpose."""
    secret = crypto.new_secret()
    advisory_lock("personal_secrets", person_id, purpose)  # otherwise two issued at once would both work
    supersede(person_id, purpose)  # before the new one is made, by which `_is_replaced` tells that there is one
    insert(person_id, purpose, crypto.digest(secret), clock.now(), lifetime, value=value)
    return secret


def insert(
    person_id: str, purpose: str, digest: bytes, now: datetime, lifetime: timedelta, *, value: str | None
) -> None:
    """Insert the row of a new link or code, whose secret has this digest."""
    session().add(
        PersonalSecret(
            digest=digest, purpose=purpose, person_id=person_id, value=value, tries=0,
            created_at=now, expires_at=now + lifetime, used_at=None, superseded_at=None,
        )
    )  # fmt: skip


def supersede(person_id: str, purpose: str) -> None:
    """Revoke every link that this person still holds for `purpose`."""
    session().execute(
        update(PersonalSecret)
        .where(
            PersonalSecret.person_id == person_id,
            PersonalSecret.purpose == purpose,
            PersonalSecret.used_at.is_(None),
            PersonalSecret.superseded_at.is_(None),
        )
        .values(superseded_at=clock.now())
    )


def supersede_since(person_id: str, since: datetime) -> None:
    """Revoke every link and code of this person, for any purpose, that was made at `since` or later."""
    later = PersonalSecret.person_id == person_id, PersonalSecret.created_at >= since
    unused = PersonalSecret.used_at.is_(None), PersonalSecret.superseded_at.is_(None)
    session().execute(update(PersonalSecret).where(*later, *unused).values(superseded_at=clock.now()))


def check(secret: str, purpose: str) -> PersonalSecret:
    """The link's row, without using it up. Raises the `LinkRefused` that says what is wrong with it."""
    link = session().get(PersonalSecret, crypto.digest(secret))
    if link is None or link.purpose != purpose:
        raise LinkUnknown(reason=f"no such {purpose} link")
    if link.used_at or link.superseded_at or link.expires_at <= clock.now():
        raise _refusal_for(link)
    return link


def spend(secret: str, purpose: str, person_id: str) -> None:
    """Use the link up. Raises the `LinkRefused` that `check` would, also if `check` passed a moment ago."""
    digest = crypto.digest(secret)
    if not claim(PersonalSecret, digest=digest, purpose=purpose, person_id=person_id, superseded_at=None):
        session().expire_all()
        check(secret, purpose)
        raise LinkUnknown(reason=f"a {purpose} link of another person")


def set_value(link: PersonalSecret, value: str) -> None:
    """Store `value` with the link unless it has one already; afterwards `link` has the stored value."""
    unset = PersonalSecret.digest == link.digest, PersonalSecret.value.is_(None)
    session().execute(update(PersonalSecret).where(*unset).values(value=value))
    session().refresh(link)


def erase_values(person_id: str) -> None:
    """Erase the values stored with this person's links and codes."""
    session().execute(update(PersonalSecret).where(PersonalSecret.person_id == person_id).values(value=None))


def _refusal_for(link: PersonalSecret) -> LinkRefused:
    if link.used_at:
        refusal: type[LinkRefused] = LinkUsed
    elif link.superseded_at:
        refusal = LinkSuperseded if _is_replaced(link) else LinkRevoked
    else:
        refusal = LinkExpired
    return refusal(reason=f"{link.purpose} of {link.person_id}")


def _is_replaced(link: PersonalSecret) -> bool:
    """Whether another of the same person and purpose was issued when this one was revoked, or later."""
    same = PersonalSecret.person_id == link.person_id, PersonalSecret.purpose == link.purpose
    later = PersonalSecret.created_at >= link.superseded_at, PersonalSecret.digest != link.digest
    return session().scalar(select(PersonalSecret.digest).where(*same, *later).limit(1)) is not None
