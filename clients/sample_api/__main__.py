"""`python -m clients.sample_api`: serve the sample API on this machine until it is stopped."""

import contextlib
import logging
import signal
import sys

import click
from werkzeug.serving import make_server

from clients.sample_api import settings
from clients.sample_api.app import create_app


def main() -> None:
    """Serve; exits with 2 when the environment is wrong."""
    try:
        ours = settings.from_environment()
    except settings.BadSettings as bad:
        click.echo(bad, err=True)
        sys.exit(2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    server = make_server("127.0.0.1", ours.port, create_app(ours), threaded=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    click.echo(f"The sample API answers at {ours.resource}/access", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
