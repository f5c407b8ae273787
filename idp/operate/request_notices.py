"""Mail operators about new requests of partners: to go live, or to ask schools for more.

Requests that came since the last run are in one mail. A conditional UPDATE decides between two workers.
"""

from typing import Final

from idp.foundation import runtime
from idp.foundation.database import row_isolated
from idp.outbox import post
from idp.partners import registration_requests
from idp.partners.models import RegistrationRequest
from idp.signin import operators

BATCH_SIZE: Final = 100
"""How many requests one mail lists; further ones go into the next."""


def mail_due() -> bool:
    """Mail all operators about the next new requests; returns whether there may be more.

    Does nothing while there is no operator to write to.
    """
    addresses = operators.addresses()
    if not addresses:
        return False
    ids = registration_requests.mark_mailed(limit=BATCH_SIZE)
    lines: list[str] = []
    for request_id in ids:
        with row_isolated("registration request", request_id):
            lines.append(_line(registration_requests.find(request_id)))
    for address in addresses if lines else ():
        post.email("registration_requested", to=address, lines=lines, link=runtime.url("/operate/requests"))
    return len(ids) == BATCH_SIZE


def _line(request: RegistrationRequest) -> str:
    """What the request asks for, in a sentence."""
    application = registration_requests.read(request).preview.client_name
    verb = "asks to change" if request.client_id else "asks to go live with"
    return f"{request.partner.name} {verb} {application}"
