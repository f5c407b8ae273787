"""Write a message in the transaction of what it tells about: if that is rolled back, nothing is sent.

It is rendered at once, so what it says is what was true then, and kept sealed until the worker has sent it.
"""

import json
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from re import fullmatch

from sqlalchemy import update

from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.outbox.letter import Letter
from idp.outbox.models import Message


def email(
    name: str,
    /,
    *,
    to: str,
    expires: datetime | None = None,
    held_until: datetime | None = None,
    once: str | None = None,
    estab: str | None = None,
    client: str | None = None,
    **context: object,
) -> str:
    """Post `mail/<name>` (.txt with a `subject` block, and .html) to one address; returns the message's id.

    After `expires` it is of no use and is not sent. It is held back until `held_until`; one that was posted before with
    the same `once` and is still held back says this instead. Raises `ValueError` if `to` is not one address.
    """
    try:
        Address(addr_spec=to)
    except (MessageError, ValueError, IndexError) as fault:
        raise ValueError("not one e-mail address") from fault
    subject = " ".join(runtime.rendered_block(f"mail/{name}.txt", "subject", **context).split())
    content = {
        "subject": subject,
        "text": runtime.rendered(f"mail/{name}.txt", **context).strip() + "\n",
        "html": runtime.rendered(f"mail/{name}.html", **context),
    }
    return _keep(
        "email", name, to, content, expires=expires, held_until=held_until, once=once, estab=estab, client=client
    )


def sms(
    name: str,
    /,
    *,
    to: str,
    expires: datetime | None = None,
    estab: str | None = None,
    client: str | None = None,
    **context: object,
) -> str:
    """Post the text message `sms/<name>.txt` to one number (E.164); returns the message's id.

    After `expires` it is of no use and is not sent. Raises `ValueError` if `to` is not such a number.
    """
    if not fullmatch(r"\+[1-9][0-9]{6,14}", to):
        raise ValueError("not a telephone number in E.164")
    content = {"subject": "", "text": " ".join(runtime.rendered(f"sms/{name}.txt", **context).split()), "html": ""}
    return _keep("sms", name, to, content, expires=expires, estab=estab, client=client)


def event(name: str, /, *, to: str, client: str, estab: str | None = None, **facts: str) -> str:
    """Post the event `name` for a client to its address, an http or https URL; returns the message's id.

    Only `facts` are kept: what is sent is made of them when it leaves (`events`), because it is signed and lives
    for minutes. Raises `ValueError` if `to` is not such an address.
    """
    if not to.startswith(("https://", "http://")):
        raise ValueError("not an address on the web")
    content = {"subject": "", "text": json.dumps(facts), "html": ""}
    return _keep("event", name, to, content, expires=None, estab=estab, client=client)


def opened(message: Message) -> Letter:
    """What `message` says. Raises `CannotUnseal`, and `ValueError` when it was wiped after it had been sent."""
    if message.sealed is None or message.recipient is None:
        raise ValueError(f"{message.id} was wiped")
    content = json.loads(runtime.sealer().unseal(message.sealed, where=_where(message.id)))
    return Letter(
        message.id, message.kind, message.name, message.recipient, message.created_at,
        content["subject"], content["text"], content["html"],
    )  # fmt: skip


def _keep(
    kind: str, name: str, to: str, content: dict[str, str], *,
    expires: datetime | None, estab: str | None, client: str | None,
    held_until: datetime | None = None, once: str | None = None,
) -> str:  # fmt: skip
    message_id = crypto.new_id("msg") if once is None else crypto.id_of("msg", once)
    sealed, now = runtime.sealer().seal(json.dumps(content).encode(), where=_where(message_id)), clock.now()
    if once is not None and _says_instead(message_id, sealed):
        return message_id
    session().add(
        Message(
            id=message_id, kind=kind, name=name, recipient=to, sealed=sealed, estab=estab, client=client,
            created_at=now, expires_at=expires, due_at=held_until or now,
            give_up_at=now + timedelta(hours=runtime.settings().outbox.give_up_hours),
            attempts=0, leased_until=None, last_error=None, sent_at=None, failed_at=None,
        )
    )  # fmt: skip
    return message_id


def _says_instead(message_id: str, sealed: str) -> bool:
    """Have a message that is held back say something else, unless it is on its way; False where there is none."""
    waiting = Message.id == message_id, Message.sent_at.is_(None), Message.leased_until.is_(None)
    changed = session().execute(update(Message).where(*waiting).values(sealed=sealed).returning(Message.id))
    return changed.first() is not None or session().get(Message, message_id) is not None


def _where(message_id: str) -> str:
    return f"outbox:{message_id}"
