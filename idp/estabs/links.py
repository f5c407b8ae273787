"""Links for one person: for one purpose, good once, for a time, and dead as soon as a newer one is made.

Following one only shows a page, because mail scanners follow links too; what is sent from that page spends it.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from idp.estabs import people
from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, lock, one_at_a_time, session
from idp.foundation.errors import Refusal
from idp.outbox import post

WELCOME = "welcome"
WELCOME_LIFETIME = timedelta(days=7)
LINKS_AN_HOUR = 3


class LinkRefused(Refusal):
    """The link cannot be used; each kind says why."""

    code, status, title = "link_refused", 410, "This link cannot be used"


class LinkUnknown(LinkRefused):
    """We never made it, or have long forgotten it."""

    code, status, title = "link_unknown", 404, "We do not recognise this link"
    says = "Please check that the whole address was copied, or ask for a new link."


class LinkUsed(LinkRefused):
    """Good once, and that was before."""

    code, title = "link_used", "This link has been used already"
    says = "Each link works only once, so that nobody can use it after you. If you did not use it, please tell us."


class LinkSuperseded(LinkRefused):
    """A newer link was made."""

    code, title = "link_superseded", "There is a newer link"
    says = "We have sent you a newer link since then, and only the newest one works. Please look for it in your e-mail."


class LinkExpired(LinkRefused):
    """Too old."""

    code, title = "link_expired", "This link has expired"
    says = "Links work for a limited time only. Please ask for a new one."


def welcome(person: Administrator) -> str:
    """The address at which a person who was added chooses a password; earlier ones die. For a mail to them."""
    return runtime.url(f"/welcome/{issue(person.id, WELCOME, WELCOME_LIFETIME)}")


def welcome_again(secret: str) -> None:
    """Mail a new link to whom this one welcomed, if they still have no password; nothing otherwise, untold."""
    kept = session().get(PersonalSecret, crypto.digest(secret))
    person = people.get(kept.person_id) if kept and kept.purpose == WELCOME else None
    if person is not None:  # of two who ask at once, or of one who chooses a password, the second sees the first
        person = lock(Administrator, person.id)
    if (
        person is None
        or person.removed_at is not None
        or person.password_hash is not None
        or _lately(person.id) >= LINKS_AN_HOUR
    ):
        return
    post.email(
        "welcome_link", to=person.email, expires=clock.now() + WELCOME_LIFETIME, estab=person.estab_id,
        name=person.name_in_mails, school=person.estab.name, link=welcome(person), days=WELCOME_LIFETIME.days,
    )  # fmt: skip


def _lately(person_id: str) -> int:
    """How many welcomes a person was sent within the hour."""
    mine = PersonalSecret.person_id == person_id, PersonalSecret.purpose == WELCOME
    since = PersonalSecret.created_at > clock.now() - timedelta(hours=1)
    return session().scalar(select(func.count()).select_from(PersonalSecret).where(*mine, since)) or 0


def issue(person_id: str, purpose: str, lifetime: timedelta, *, value: str | None = None) -> str:
    """A new secret for a link; those made before for the same person and purpose die."""
    secret = crypto.new_secret()
    one_at_a_time("personal_secrets", person_id, purpose)  # two that supersede each other would both live
    supersede(person_id, purpose)
    insert(person_id, purpose, crypto.digest(secret), clock.now(), lifetime, value=value)
    return secret


def insert(
    person_id: str, purpose: str, digest: bytes, now: datetime, lifetime: timedelta, *, value: str | None
) -> None:
    """Add the row of a link or code that is made now, whose secret has this digest."""
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


def look(secret: str, purpose: str) -> PersonalSecret:
    """What the link is for, without spending it. Raises a `LinkRefused` that says what is wrong with it."""
    kept = session().get(PersonalSecret, crypto.digest(secret))
    if kept is None or kept.purpose != purpose:
        raise LinkUnknown(because=f"no such {purpose} link")
    if kept.used_at or kept.superseded_at or kept.expires_at <= clock.now():
        raise _why_not(kept)
    return kept


def spend(secret: str, purpose: str, person_id: str) -> None:
    """Use the link up. Raises a `LinkRefused` where `look` would, also when it was looked at a moment ago."""
    digest = crypto.digest(secret)
    if claim(PersonalSecret, digest=digest, purpose=purpose, person_id=person_id, superseded_at=None) is None:
        session().expire_all()
        look(secret, purpose)
        raise LinkUnknown(because=f"a {purpose} link of another person")


def set_value(link: PersonalSecret, value: str) -> None:
    """Store `value` with the link, unless it has one by now; either way `link` has the one that is stored."""
    first = PersonalSecret.digest == link.digest, PersonalSecret.value.is_(None)
    session().execute(update(PersonalSecret).where(*first).values(value=value))
    session().refresh(link)


def erase_values(person_id: str) -> None:
    """Erase what is stored with this person's links and codes."""
    session().execute(update(PersonalSecret).where(PersonalSecret.person_id == person_id).values(value=None))


def _why_not(kept: PersonalSecret) -> LinkRefused:
    kind = LinkUsed if kept.used_at else LinkSuperseded if kept.superseded_at else LinkExpired
    return kind(because=f"{kept.purpose} of {kept.person_id}")
