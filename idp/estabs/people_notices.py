"""Mails about a change of who acts for a school: to the person themselves, and to the owners who did not make it."""

from idp.estabs import people
from idp.estabs.models import Administrator, Membership
from idp.estabs.permissions import SUMMARIES, Action
from idp.foundation import clock, dates, runtime
from idp.outbox import post


def send(
    name: str, about: Membership, by: Membership | str, *, to_oneself: bool = True, also_to: Administrator | None = None
) -> None:
    """Post the mail `name` about a membership that was changed by `by`: a member, or our staff (`cli`, or an id).

    With `to_oneself` the person of the membership gets it too, and so does `also_to`. The templates get `person`, the
    `actor` who made the change, whether the recipient is that person (`is_you`), and whether the person made it
    (`is_own_change`).
    """
    actor_id = people.actor_id(by)
    others = [owner for owner in people.who_may(about.estab_id, Action.RECEIVE_ACCOUNT_NOTICES) if owner.id != actor_id]
    others += [about.person] if to_oneself else []
    others += [also_to] if also_to else []
    recipients = {person.id: person for person in others}
    for person_id, person in recipients.items():
        post.email(
            name, to=person.email, estab=about.estab_id, name=person.name_in_mails, school=about.estab.name,
            is_you=person_id == about.person_id, is_own_change=actor_id == about.person_id,
            person=about.person.described_in_mails,
            actor="our staff" if isinstance(by, str) else by.person.described_in_mails,
            role_name=about.role_title, role_summary=SUMMARIES[about.role],
            at=dates.day_and_time(clock.now()), link=runtime.url("/manage/people"),
        )  # fmt: skip
