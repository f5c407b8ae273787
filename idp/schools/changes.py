"""Changes that an import found in the register, until they are reported to our staff."""

from sqlalchemy import select, update

from idp.foundation import clock
from idp.foundation.database import session
from idp.schools.models import SchoolChange


def claim(limit: int) -> list[int]:
    """Mark the next `limit` unreported changes as reported, oldest first, and return their ids.

    One UPDATE, so that each change is claimed by one of two workers.
    """
    unreported = SchoolChange.told_at.is_(None)
    batch = select(SchoolChange.id).where(unreported).order_by(SchoolChange.id).limit(limit).scalar_subquery()
    statement = update(SchoolChange).where(unreported, SchoolChange.id.in_(batch)).values(told_at=clock.now())
    return list(session().scalars(statement.returning(SchoolChange.id).execution_options(synchronize_session=False)))
