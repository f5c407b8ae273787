"""`python -m clients.assembly`: serve Assembly on this machine, and SchoolBooking where SCHOOLBOOKING_PORT is set.

`python -m clients.assembly invite-code` makes a code with which people sign up, `rotate-key` a new signing key.
"""

import contextlib
import logging
import os
import signal
import sys
import threading

import click
from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from clients.assembly import invite_codes, settings, web
from clients.assembly.app import create_app
from clients.assembly.applications import APPLICATIONS, ASSEMBLY, SCHOOLBOOKING, Application
from clients.assembly.database import Database
from clients.assembly.keys import PUBLISH_BEFORE_SECONDS, Keys

PATHS_WITH_SECRET = ("/activate/", "/new-password/")
"""What follows one of these in a path is the secret of a mailed link."""


class Handler(WSGIRequestHandler):
    """Logs no query, which at the callback has the code, and no secret of a link."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log method, path and status in one line; nothing for the paths that are requested all the time."""
        path = self.path.partition("?")[0]
        for prefix in PATHS_WITH_SECRET:
            if path.startswith(prefix):
                path = f"{prefix}…"
        if path not in {"/healthz", "/connector/status"}:
            self.log("info", "%s %s %s", self.command, path, code)


def _settings(application: Application) -> settings.Settings:
    try:
        return settings.from_environment(application)
    except settings.InvalidSettings as error:
        click.echo(error, err=True)
        sys.exit(2)


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve until it is stopped; exits with 2 when the environment is wrong."""
    if context.invoked_subcommand is not None:
        return
    applications = [ASSEMBLY, *([SCHOOLBOOKING] if "SCHOOLBOOKING_PORT" in os.environ else [])]
    all_settings = [_settings(application) for application in applications]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = [
        _serve(create_app(application_settings), application_settings.port) for application_settings in all_settings
    ]
    for application_settings in all_settings:
        click.echo(f"{application_settings.application.name} is served at {application_settings.url}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        for thread in [threading.Thread(target=server.serve_forever, daemon=True) for server in servers[1:]]:
            thread.start()
        servers[0].serve_forever()


def _serve(app: Flask, port: int) -> BaseWSGIServer:
    with app.app_context():
        web.current_program().background.start()
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)


@main.command("invite-code")
@click.option("--application", type=click.Choice(list(APPLICATIONS)), default=ASSEMBLY.key, show_default=True)
@click.option("--uses", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many may sign up.")
@click.option("--days", type=click.IntRange(1, 365), default=14, show_default=True, help="How long it works.")
@click.option("--note", default="", help="For whom the code is; stored with it.")
def invite_code(application: str, uses: int, days: int, note: str) -> None:
    """Make an invite code and print it, once: afterwards only its digest is kept."""
    database = _settings(APPLICATIONS[application]).database
    click.echo(invite_codes.create(Database(database), uses=uses, days=days, note=note))


@main.command("rotate-key")
@click.option("--application", type=click.Choice(list(APPLICATIONS)), default=ASSEMBLY.key, show_default=True)
def rotate_key(application: str) -> None:
    """Publish a new signing key, which signs a little later. A running program reads it without a restart."""
    Keys(_settings(APPLICATIONS[application]).key_file).rotate()
    click.echo(f"The new key is published, and will be used after {PUBLISH_BEFORE_SECONDS // 60} minutes.")


if __name__ == "__main__":
    main(prog_name="python -m clients.assembly")
