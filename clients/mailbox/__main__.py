"""`python -m clients.mailbox`: show the Maildir MAILBOX_DIR on port MAILBOX_PORT of this machine.

Where MAILBOX_SMTP_PORT is set, it puts into the Maildir what is sent to that port by SMTP.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.mailbox import smtp
from clients.mailbox.app import create_app


class Handler(WSGIRequestHandler):
    """Logs no requests: the page asks for news every other second."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def main() -> None:
    """Serve; exits with 2 when the environment is wrong."""
    port, smtp_port = _port("MAILBOX_PORT", "5002"), _port("MAILBOX_SMTP_PORT", "0")
    folder = Path(os.environ.get("MAILBOX_DIR", "var/mailbox"))
    if smtp_port:
        smtp.serve(folder, smtp_port)
    server = make_server("127.0.0.1", port, create_app(folder), threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"The demo mailbox is served at http://localhost:{port}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def _port(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) < 65536:
        click.echo(f"{name}: must be a number from 1 to 65535", err=True)
        sys.exit(2)
    return int(text)


if __name__ == "__main__":
    main()
