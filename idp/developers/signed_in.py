"""The person of a partner who is signed in."""

from flask_login import current_user

from idp.signin import developers
from idp.signin.models import Developer


def developer_or_none() -> Developer | None:
    """The person of a partner who is signed in, on a page that anyone may read."""
    return developer() if current_user.is_authenticated and current_user.kind == "developer" else None


def developer() -> Developer:
    """The person signed in. The session is only valid while they and their partner are."""
    person = developers.by_id(current_user.id)
    assert person is not None
    return person
