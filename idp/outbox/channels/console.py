"""Print what would be sent: for development without a mailbox."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from idp.foundation.settings import Settings
from idp.outbox.letter import Letter


@contextmanager
def sender(_settings: Settings) -> Iterator[Callable[[Letter], None]]:
    """Whatever is sent appears on standard output."""
    yield _print


def _print(letter: Letter) -> None:
    subject = f"Subject: {letter.subject}\n" if letter.subject else ""
    click.echo(f"--- {letter.kind} to {letter.to}\n{subject}\n{letter.text.rstrip()}\n---")
