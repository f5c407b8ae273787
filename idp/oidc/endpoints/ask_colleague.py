"""The form "Someone else decides this" on the page that asks a school: we send a mail to the colleague who does.

Only people of a verified school can send it. It decides nothing: the page stays as it was, ticks included.
"""

from datetime import timedelta
from math import ceil
from typing import Final

from flask import flash, redirect, request
from werkzeug import Response
from wtforms import EmailField
from wtforms.validators import InputRequired

from idp.estabs import people
from idp.estabs.models import Membership
from idp.foundation import clock
from idp.foundation.web import contact_fields, form_drafts
from idp.foundation.web.forms import visible
from idp.partners import start_link
from idp.partners.snapshots import AnyClient
from idp.sharing import colleague_mail
from idp.signin import guesses

HAND_OVER: Final = "hand_over"
"""The name of the button that sends the form, and of the one that is pressed by the Enter key."""
MAX_MAILS_AN_HOUR: Final = 5
"""Mails that one person may send in `LIMIT_WINDOW`."""
LIMIT_WINDOW: Final = timedelta(hours=1)
PAGE_STAYS: Final = "page_stays"
"""A field of the draft: it marks that the page is shown again unchanged, not after a form that was not accepted."""


class Colleague(contact_fields.EmailForm):
    """The colleague's e-mail address."""

    email = EmailField(
        "Your colleague's work e-mail address",
        [InputRequired("Enter your colleague's e-mail address"), contact_fields.email_address],
    )
    wait: int | None = None
    """Seconds until another mail may be sent, if too many were; else None."""

    @property
    def status_and_headers(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the page that shows the errors."""
        return (429, {"Retry-After": str(self.wait)}) if self.wait else (422, {})


def may_be_asked(client: AnyClient, by: Membership) -> bool:
    """Whether a colleague of `by` can be asked: the school is verified, and the client has a URL to start at."""
    start = start_link.for_client(client.id)
    return by.estab.is_verified and not by.estab.is_fictional and start is not None and bool(start.url)


def ask(client: AnyClient, form: Colleague, *, by: Membership) -> Response | None:
    """Write to the colleague and show the page unchanged; None, with the reason in `form`, if that is not possible.

    The Enter key presses the form's first button, which is this one; nothing is sent if the field is empty then.
    """
    start = start_link.for_client(client.id)
    if start is None or not may_be_asked(client, by):
        return redirect_unchanged()
    if request.form[HAND_OVER] == "enter" and not visible(form.email.data):
        return redirect_unchanged()
    if not form.validate():
        return None
    # This comes before anything is written, because the draft is stored in a transaction of its own.
    unchanged_page = redirect_unchanged()
    if not _is_within_limit(form, by):
        return None
    address = contact_fields.parse_email(form.email.data)
    colleague_mail.ask_colleague(client, address, begin=start.url, by=by)
    flash(
        f"We have written to {people.mask_email(address)}. Nothing has been decided: you can close this page, "
        "or still decide here yourself.",
        "success",
    )
    return unchanged_page


def is_unchanged_page(fields: form_drafts.Fields | None) -> bool:
    """Whether this draft belongs to a page that is shown again unchanged."""
    return fields is not None and PAGE_STAYS in fields


def redirect_unchanged() -> Response:
    """The response to a button that decides nothing: a redirect to the same page, unchanged."""
    ticked = [(name, value) for name in ("area", "also") for value in request.form.getlist(name)]
    form_drafts.save([(PAGE_STAYS, "yes"), *ticked])
    return redirect(form_drafts.request_url(), 303)


def _is_within_limit(form: Colleague, by: Membership) -> bool:
    count, until = guesses.tally(guesses.key("hand-over", by.person_id), LIMIT_WINDOW)
    if count <= MAX_MAILS_AN_HOUR:
        return True
    form.wait = max(1, ceil((until - clock.now()).total_seconds()))
    form.email.errors = ["You have asked several colleagues in the last hour. Please wait an hour, or speak to them."]
    return False
