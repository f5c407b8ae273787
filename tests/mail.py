"""The messages of the outbox, unsealed, as their recipients see them."""

import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from idp.outbox import post
from idp.outbox.models import Message


@dataclass(frozen=True)
class QueuedMessage:
    """A mail or text message."""

    name: str
    to: str
    subject: str
    text: str
    html: str = ""

    @property
    def links(self) -> list[str]:
        """The URLs in its text, in order."""
        return re.findall(r"https?://[^\s<>\"]+", self.text)

    @property
    def path(self) -> str:
        """The path of its first link."""
        return path_of(self.links[0])

    @property
    def secret(self) -> str:
        """The secret in its first link: the last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def code(self) -> str:
        """The six-digit code in it."""
        return str(re.findall(r"\b\d{6}\b", self.text)[0])


def path_of(link: str) -> str:
    """The path and query of a link to the service."""
    return "/" + link.split("/", 3)[3]


def count_by_template(
    transaction: Callable[[], AbstractContextManager[Session]], *, leave_out: str = ""
) -> Counter[str]:
    """How many messages were queued from each template, discarded ones too; `leave_out` is a template to leave out."""
    with transaction() as session:
        return Counter(row.name for row in session.scalars(select(Message)) if row.name != leave_out)


class Outbox:
    """The messages that wait to be sent."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Session]]) -> None:
        self._transaction = transaction

    def all(self, name: str | None = None) -> list[QueuedMessage]:
        """Those rendered from the template `name`, or all; the oldest first."""
        with self._transaction() as session:
            rows = session.scalars(select(Message).order_by(Message.created_at, Message.id)).all()
            messages = []
            for row in rows:
                if row.sealed is not None and name in {None, row.name}:
                    opened = post.unseal(row)
                    messages.append(
                        QueuedMessage(row.name, row.recipient or "", opened.subject, opened.text, opened.html)
                    )
        return messages

    def last(self, name: str) -> QueuedMessage:
        """The newest one rendered from the template `name`."""
        messages = self.all(name)
        assert messages, f"no {name} was queued; there are {[message.name for message in self.all()]}"
        return messages[-1]
