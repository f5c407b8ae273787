"""The callback URL to which providers of text messages send delivery receipts (`outbox.receipts`)."""

from typing import Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from idp.foundation import runtime
from idp.foundation.web import security
from idp.foundation.web.throttle import rate_limit
from idp.outbox import receipts
from idp.outbox.channels.callback import Callback

MAX_RECEIPT_BYTES: Final = 16_384
"""The largest receipt that is read; documented ones have at most about 700 bytes."""

bp = Blueprint("outbox", __name__)


@bp.post("/receipts/sms", defaults={"message_id": ""})
@bp.post("/receipts/sms/<message_id>")
@security.client
@rate_limit(3000)
def sms(message_id: str) -> ResponseReturnValue:
    """Record a receipt, which carries the provider's proof. The response is the same for unknown messages."""
    if (request.content_length or 0) > MAX_RECEIPT_BYTES:
        raise RequestEntityTooLarge
    body = request.get_data(cache=True, parse_form_data=False)
    form = list(request.form.items(multi=True))
    path = f"/receipts/sms/{message_id}" if message_id else "/receipts/sms"
    receipts.process_callback(Callback(runtime.url(path), message_id, dict(request.headers), form, body))
    return "", 204


security.csrf_exempt(sms)
