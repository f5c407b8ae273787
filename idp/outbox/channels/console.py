"""Print what would be sent: for development without a mailbox."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from idp.foundation.settings import Settings
from idp.outbox.outgoing import OutgoingMessage


@contextmanager
def sender(_settings: Settings) -> Iterator[Callable[[OutgoingMessage], None]]:
    """Whatever is sent appears on standard output."""
    yield _print


def _print(outgoing: OutgoingMessage) -> None:
    subject = f"Subject: {outgoing.subject}\n" if outgoing.subject else ""
    click.echo(f"--- {outgoing.kind} to {outgoing.to}\n{subject}\n{outgoing.text.rstrip()}\n---")
