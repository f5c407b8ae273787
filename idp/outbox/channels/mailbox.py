"""Leave messages in a Maildir, e-mail and text messages alike: for the demonstration's mailbox."""

import mailbox
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from idp.foundation.settings import Settings
from idp.outbox import mime
from idp.outbox.outgoing import OutgoingMessage, TemporaryFailure


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], None]]:
    """The Maildir of `outbox.mailbox`, made where it is missing."""
    folder = settings.outbox.mailbox
    for part in ("tmp", "new", "cur"):  # `create=True` makes them only where there is no folder at all
        (folder / part).mkdir(parents=True, exist_ok=True)
    with closing(mailbox.Maildir(folder, create=False)) as box:

        def leave(outgoing: OutgoingMessage) -> None:
            built = mime.mail if outgoing.kind == "email" else mime.text_message
            try:
                box.add(built(outgoing, settings))
            except OSError as error:
                raise TemporaryFailure(f"cannot write to the mailbox: {error.strerror}") from error

        yield leave
