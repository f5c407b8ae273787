"""`python -m clients.assembly`: serve Assembly on this machine until it is stopped."""

import contextlib
import signal
import sys

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.assembly import settings
from clients.assembly.app import create_app


class Handler(WSGIRequestHandler):
    """Logs no query: a callback's carries the code."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line: method, path, status; none for health checks."""
        path = self.path.partition("?")[0]
        if path != "/healthz":
            self.log("info", "%s %s %s", self.command, path, code)


def main() -> None:
    """Serve; exits with 2 when the environment is wrong."""
    try:
        ours = settings.from_environment()
    except settings.BadSettings as bad:
        click.echo(bad, err=True)
        sys.exit(2)
    server = make_server("127.0.0.1", ours.port, create_app(ours), threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"Assembly answers at {ours.url}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
