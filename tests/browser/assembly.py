"""The demonstration partner as partners run it: its own process's worth of code, port, folder and keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from clients.assembly import web
from clients.assembly.app import create_app
from clients.assembly.applications import ASSEMBLY, SCHOOLBOOKING
from clients.assembly.settings import Settings
from clients.mailbox import smtp
from idp.demo.prepare import manifest_at, second_manifest_at
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Partner
from tests.conftest import Work
from tests.ports import free_port
from tests.serving import serving

INVITE_CODE = "WELCOME"


@contextmanager
def a_partner_served(issuer: str, work: Work, folder: Path, *, second: bool = False, **differs: Any) -> Iterator[str]:
    """Register Assembly, or SchoolBooking, at the provider and serve it until the block ends; its address.

    `differs` replaces settings of it.
    """
    port = free_port()
    url = f"http://localhost:{port}"
    register(work, second_manifest_at(url) if second else manifest_at(url))
    application = SCHOOLBOOKING if second else ASSEMBLY
    settings = Settings(
        application, issuer, application.key, port, folder, invite_code=INVITE_CODE, poll_seconds=1, **differs
    )
    app = create_app(settings)
    with app.app_context():
        background = web.program().background
    background.start()
    try:
        with serving(app, port):
            yield url
    finally:
        background.stop()


def register(work: Work, manifest: dict[str, Any]) -> None:
    """Register an application, and its company where that is new."""
    with work():
        if session().scalar(select(Partner).where(Partner.name == manifest["partner"])) is None:
            website, contact = manifest["client_uri"], manifest["contacts"][0]
            registry.add_partner(manifest["partner"], website=website, contact_email=contact)
        registry.register(manifest)


@contextmanager
def mail_received(folder: Path) -> Iterator[int]:
    """Receive mail by SMTP into the Maildir `folder` until the block ends; the port."""
    port = free_port()
    controller = smtp.serve(folder, port)
    try:
        yield port
    finally:
        controller.stop()
