"""`python -m clients.mailbox`: show the Maildir MAILBOX_DIR on port MAILBOX_PORT of this machine."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.mailbox.app import create_app


class Handler(WSGIRequestHandler):
    """Logs no requests: the page asks for news every other second."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def main() -> None:
    """Serve; exits with 2 when the environment is wrong."""
    port = os.environ.get("MAILBOX_PORT", "5002")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        click.echo("MAILBOX_PORT: must be a number from 1 to 65535", err=True)
        sys.exit(2)
    app = create_app(Path(os.environ.get("MAILBOX_DIR", "var/mailbox")))
    server = make_server("127.0.0.1", int(port), app, threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"The demo mailbox answers at http://localhost:{port}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
