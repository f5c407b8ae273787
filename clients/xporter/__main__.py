"""`python -m clients.xporter`: serve XporterOnDemand on this machine until it is stopped.

`python -m clients.xporter status` lists what is stored, without personal data; `delete-school ESTAB_ID` deletes
everything of a school; `rotate-key` makes a new key for our client assertions.
"""

import contextlib
import logging
import signal
import sys

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.xporter import extracts, settings as environment, status as stored, web
from clients.xporter.app import create_app
from clients.xporter.database import Database
from clients.xporter.keys import PUBLISH_BEFORE_SECONDS, Keys
from clients.xporter.settings import Settings


class Handler(WSGIRequestHandler):
    """Logs requests without their query, and no health checks."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    """How many seconds the next part of a request may take to arrive, or the next part of a response to be read."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line: method, path, status."""
        path = self.path.partition("?")[0]
        if path != "/healthz":
            self.log("info", "%s %s %s", self.command, path, code)


def _settings() -> Settings:
    try:
        return environment.from_environment()
    except environment.InvalidSettings as error:
        click.echo(error, err=True)
        sys.exit(2)


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve until it is stopped; exits with 2 when the environment is wrong."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    app = create_app(settings)
    with app.app_context():
        web.current_program().worker.start()
    server = make_server("127.0.0.1", settings.port, app, threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"XporterOnDemand is served at {settings.resource}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


@main.command("rotate-key")
def rotate_key() -> None:
    """Publish a new key, which signs five minutes later. The running program reads it by itself."""
    Keys(_settings().key_file).rotate()
    click.echo(f"The new key is published, and will be used after {PUBLISH_BEFORE_SECONDS // 60} minutes.")


@main.command()
def status() -> None:
    """Show what is stored: schools, the size of each collection, and the latest extracts."""
    database = Database(_settings().database_url)
    for line in stored.lines(database):
        click.echo(line)
    database.close()


@main.command("delete-school")
@click.argument("estab_id")
@click.confirmation_option(prompt="This deletes everything of this school for ever. Continue?")
def delete_school(estab_id: str) -> None:
    """Delete everything that is stored of a school; exits with 1 if nothing is."""
    database = Database(_settings().database_url)
    was_there = extracts.delete_all(database, estab_id)
    database.close()
    click.echo("Everything is deleted." if was_there else "Nothing is stored for this school.")
    sys.exit(0 if was_there else 1)


if __name__ == "__main__":
    main(prog_name="python -m clients.xporter")
