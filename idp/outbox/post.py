"""Post a message in the transaction of the change that it reports: if that is rolled back, nothing is sent.

It is rendered at once, so that its content is true at that time, and stored encrypted until the worker has sent it.
"""

import json
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from re import fullmatch
from typing import Final

from sqlalchemy import update

from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.outbox.models import Message
from idp.outbox.outgoing import OutgoingMessage

RESERVED_DOMAIN: Final = ".invalid"
"""Mail to a host below this name, which no one can have (RFC 6761 §6.4), is never sent: fictional people have it."""


def email(
    name: str,
    /,
    *,
    to: str,
    expires: datetime | None = None,
    held_until: datetime | None = None,
    deduplicate_as: str | None = None,
    estab: str | None = None,
    client: str | None = None,
    discard: bool = False,
    **context: object,
) -> str:
    """Post `mail/<name>` (.txt with a `subject` block, and .html) to one e-mail address; returns the message's id.

    After `expires` it is not sent, and not before `held_until`. A message that was posted before with the same
    `deduplicate_as` and is not sent yet gets this content instead. With `discard` it costs the same work and is never
    sent: so that the time a page takes does not reveal whether there is a recipient. Raises `ValueError` if `to` is
    not one address.
    """
    try:
        Address(addr_spec=to)
    except (MessageError, ValueError, IndexError) as error:
        raise ValueError("not one e-mail address") from error
    discard = discard or to.casefold().endswith(RESERVED_DOMAIN)
    subject = " ".join(runtime.render_block(f"mail/{name}.txt", "subject", **context).split())
    content = {
        "subject": subject,
        "text": runtime.render_text(f"mail/{name}.txt", **context).strip() + "\n",
        "html": runtime.render_text(f"mail/{name}.html", **context),
    }
    return _store(
        "email",
        name,
        to,
        content,
        expires=expires,
        held_until=held_until,
        deduplicate_as=deduplicate_as,
        estab=estab,
        client=client,
        discard=discard,
    )


def sms(
    name: str,
    /,
    *,
    to: str,
    expires: datetime | None = None,
    estab: str | None = None,
    client: str | None = None,
    discard: bool = False,
    **context: object,
) -> str:
    """Post the text message `sms/<name>.txt` to one number (E.164); returns the message's id.

    After `expires` it is not sent; with `discard` never, as in `email`. Raises `ValueError` if `to` has another form.
    """
    if not fullmatch(r"\+[1-9][0-9]{6,14}", to):
        raise ValueError("not a phone number in E.164")
    content = {"subject": "", "text": " ".join(runtime.render_text(f"sms/{name}.txt", **context).split()), "html": ""}
    return _store("sms", name, to, content, expires=expires, estab=estab, client=client, discard=discard)


def event(name: str, /, *, to: str, client: str, estab: str | None = None, **facts: str) -> str:
    """Post the event `name` for a client to its http or https URL; returns the message's id.

    Only `facts` are stored: the body is rendered from them when it is sent (`events`), because it is signed and valid
    for minutes only. Raises `ValueError` if `to` is not such a URL.
    """
    if not to.startswith(("https://", "http://")):
        raise ValueError("not a URL on the web")
    content = {"subject": "", "text": json.dumps(facts), "html": ""}
    return _store("event", name, to, content, expires=None, estab=estab, client=client)


def unseal(message: Message) -> OutgoingMessage:
    """Decrypt `message`. Raises `UnsealError`, and `ValueError` if its content was deleted after it was sent."""
    if message.sealed is None or message.recipient is None:
        raise ValueError(f"{message.id} was wiped")
    content = json.loads(runtime.sealer().unseal(message.sealed, context=_sealing_context(message.id)))
    return OutgoingMessage(
        message.id, message.kind, message.name, message.recipient, message.created_at,
        content["subject"], content["text"], content["html"],
    )  # fmt: skip


def _store(
    kind: str, name: str, to: str, content: dict[str, str], *,
    expires: datetime | None, estab: str | None, client: str | None,
    held_until: datetime | None = None, deduplicate_as: str | None = None, discard: bool = False,
) -> str:  # fmt: skip
    message_id = crypto.new_id("msg") if deduplicate_as is None else crypto.derive_id("msg", deduplicate_as)
    sealed, now = runtime.sealer().seal(json.dumps(content).encode(), context=_sealing_context(message_id)), clock.now()
    if deduplicate_as is not None and _replace_content(message_id, sealed):
        return message_id
    session().add(
        Message(
            id=message_id, kind=kind, name=name, recipient=None if discard else to,
            sealed=None if discard else sealed, estab=estab, client=client,
            created_at=now, expires_at=expires, due_at=held_until or now,
            give_up_at=now + timedelta(hours=runtime.settings().outbox.give_up_hours),
            attempts=0, leased_until=None, last_error=None, sent_at=now if discard else None, failed_at=None,
            provider_id=None, delivered_at=None,
        )
    )  # fmt: skip
    return message_id


def _replace_content(message_id: str, sealed: str) -> bool:
    """Replace the content of a message that is not sent yet, if it exists; returns whether it exists."""
    conditions = Message.id == message_id, Message.sent_at.is_(None), Message.leased_until.is_(None)
    result = session().execute(update(Message).where(*conditions).values(sealed=sealed).returning(Message.id))
    return result.first() is not None or session().get(Message, message_id) is not None


def _sealing_context(message_id: str) -> str:
    return f"outbox:{message_id}"
