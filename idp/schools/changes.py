"""Changes that an import found in the register, until they are reported to our staff."""

from sqlalchemy import select, update

from idp.foundation import clock
from idp.foundation.database import session
from idp.schools.models import SchoolChange


def take(most: int) -> list[int]:
    """The ids of the next `most` changes that were not reported, oldest first: they count as reported now.

    One UPDATE, so that of two workers one takes each.
    """
    unreported = SchoolChange.told_at.is_(None)
    batch = select(SchoolChange.id).where(unreported).order_by(SchoolChange.id).limit(most).scalar_subquery()
    taken = update(SchoolChange).where(unreported, SchoolChange.id.in_(batch)).values(told_at=clock.now())
    return list(session().scalars(taken.returning(SchoolChange.id).execution_options(synchronize_session=False)))
