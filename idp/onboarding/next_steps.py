"""The next steps of an owner whose school is registered now."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation import dates, runtime
from idp.foundation.web import contact_fields, security
from idp.onboarding import browser, origin, review, signup

bp = Blueprint("next_steps", __name__)


@bp.get("/register/next-steps")
@security.person
def next_steps() -> ResponseReturnValue:
    """What to do now that the school is registered, and when to expect our call."""
    member = current_user.membership
    person, registration = member.person, signup.find_by_member(member)
    estab_review = review.find_by_estab(member.estab)
    return render_template(
        "onboarding/next_steps.html", person=person, estab=member.estab,
        mobile=contact_fields.readable_phone_number(person.mobile),
        due=dates.weekday_and_day(estab_review.due_at) if estab_review else None,
        is_installed=runtime.ports().endpoint_state(member.estab_id) != "none",
        return_link=origin.return_link(registration, browser.digest()) if registration else None,
    )  # fmt: skip
