"""`python -m clients.xporter`: serve XporterOnDemand on this machine until it is stopped.

`python -m clients.xporter rotate-key` makes a new key for proving who we are.
"""

import contextlib
import logging
import signal
import sys

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.xporter import settings as environment
from clients.xporter.app import create_app
from clients.xporter.keys import PUBLISH_BEFORE_SECONDS, Keys
from clients.xporter.settings import Settings


class Handler(WSGIRequestHandler):
    """Logs no query, and nothing of the checks whether we are there."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line: method, path, status."""
        path = self.path.partition("?")[0]
        if path != "/healthz":
            self.log("info", "%s %s %s", self.command, path, code)


def _settings() -> Settings:
    try:
        return environment.from_environment()
    except environment.BadSettings as bad:
        click.echo(bad, err=True)
        sys.exit(2)


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve until it is stopped; exits with 2 when the environment is wrong."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    server = make_server("127.0.0.1", settings.port, create_app(settings), threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"XporterOnDemand answers at {settings.resource}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


@main.command("rotate-key")
def rotate_key() -> None:
    """Publish a new key, which signs a little later. The running program notices by itself."""
    Keys(_settings().key_file).rotate()
    click.echo(f"The new key is published, and signs in {PUBLISH_BEFORE_SECONDS // 60} minutes.")


if __name__ == "__main__":
    main(prog_name="python -m clients.xporter")
