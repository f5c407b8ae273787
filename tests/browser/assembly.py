"""The demonstration partner, served as partners run it: with a port, a folder and keys of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from clients.assembly import web
from clients.assembly.app import create_app
from clients.assembly.applications import ASSEMBLY, SCHOOLBOOKING
from clients.assembly.settings import Settings
from clients.mailbox import messages, smtp
from clients.xporter import app as xporter, settings as xporter_settings
from idp.demo.prepare import manifest_at, second_manifest_at, xporter_manifest_at
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Partner
from tests.conftest import TransactionFactory
from tests.ports import free_port
from tests.serving import serving

INVITE_CODE = "WELCOME"
MAIL_SECONDS = 30.0


@contextmanager
def serve_partner(
    issuer: str, transaction: TransactionFactory, folder: Path, *, second: bool = False, **overrides: Any
) -> Iterator[str]:
    """Register Assembly, or SchoolBooking, at the provider, and serve it until the block ends; yields its URL.

    `overrides` replaces settings of the application.
    """
    port = free_port()
    url = f"http://localhost:{port}"
    register(transaction, second_manifest_at(url) if second else manifest_at(url))
    application = SCHOOLBOOKING if second else ASSEMBLY
    settings = Settings(
        application, issuer, application.key, port, folder, invite_code=INVITE_CODE, poll_seconds=1, **overrides
    )
    app = create_app(settings)
    with app.app_context():
        background = web.current_program().background
    background.start()
    try:
        with serving(app, port):
            yield url
    finally:
        background.stop()


def register(transaction: TransactionFactory, manifest: dict[str, Any]) -> str | None:
    """Register an application, and its company where that is new; returns its secret, if it has one."""
    with transaction():
        if session().scalar(select(Partner).where(Partner.name == manifest["partner"])) is None:
            website, contact = manifest["client_uri"], manifest["contacts"][0]
            registry.add_partner(manifest["partner"], website=website, contact_email=contact)
        return registry.register(manifest)[1]


@contextmanager
def receive_mail(folder: Path, port: int = 0) -> Iterator[int]:
    """Receive mail by SMTP into the Maildir `folder` until the block ends; yields the port, by default a free one."""
    port = port or free_port()
    controller = smtp.serve(folder, port)
    try:
        yield port
    finally:
        controller.stop()


def newest_mail(folder: Path, to: str, containing: str) -> str:
    """The text of the newest mail to this address that contains `containing`; waits until there is one."""
    deadline = time.monotonic() + MAIL_SECONDS
    while time.monotonic() < deadline:
        mails = [mail for mail in messages.list_messages(folder) if mail.to == to and containing in mail.text]
        if mails:
            return mails[0].text
        time.sleep(0.1)
    raise AssertionError(f"no mail to {to} with {containing} came in {MAIL_SECONDS} seconds")


@contextmanager
def serve_xporter(issuer: str, transaction: TransactionFactory, folder: Path) -> Iterator[str]:
    """Register XporterOnDemand, which has data of schools, and serve it until the block ends; yields its URL."""
    port = free_port()
    url = f"http://localhost:{port}"
    register(transaction, xporter_manifest_at(url))
    app = xporter.create_app(xporter_settings.Settings(issuer, "xporter", url, port, folder))
    app.extensions["xporter"].worker.start()
    with serving(app, port):
        yield url
    app.extensions["xporter"].close()
