"""A partner's application, the provider or its worker is killed, at every step of connecting a school."""

import re
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from types import SimpleNamespace

import pytest
import requests
from sqlalchemy import select

from clients.assembly import connections
from clients.assembly.database import Database
from clients.mailbox import messages
from idp.demo.prepare import manifest_at
from idp.invitations.models import SchoolInvitation
from idp.keys import ring
from idp.onboarding import review
from tests.browser.assembly import receive_mail, register
from tests.clients.office import Office
from tests.factories import PASSWORD, an_administrator, an_estab
from tests.ports import free_port
from tests.processes import a_process, an_instance, eventually

EMAIL, OWN_PASSWORD = "office@willowbank.example", "wobbly kettle sings"


@pytest.fixture
def provider(settings, tmp_path):
    """`with provider.serve():` serves the provider, always at the same URL."""
    port = free_port()

    @contextmanager
    def serve():
        with an_instance(tmp_path / "idp.log", port=port, database__url=settings.database.url) as (process, _):
            yield process

    return SimpleNamespace(serve=serve, url=f"http://localhost:{port}")


@pytest.fixture
def worker(settings, tmp_path, provider):
    def run():
        return a_process(
            "idp.cli", "worker", log=tmp_path / "worker.log", database__url=settings.database.url,
            server__issuer=provider.url,
        )  # fmt: skip

    return run


@pytest.fixture
def assembly(tmp_path, monkeypatch, provider):
    """`with assembly.serve():` serves Assembly, always at the same URL; it does not poll for changes by itself."""
    port, smtp_port = free_port(), free_port()
    for name, value in {
        "ISSUER": provider.url, "PORT": port, "DATA": tmp_path / "assembly", "SMTP": f"localhost:{smtp_port}",
        "INVITE_CODE": "WELCOME", "POLL_SECONDS": 3600,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ASSEMBLY_{name}", str(value))

    url = f"http://localhost:{port}"

    @contextmanager
    def serve():
        with a_process("clients.assembly", log=tmp_path / "assembly.log") as process:
            process.wait_until(lambda: _responds(url))
            yield process

    database = tmp_path / "assembly" / "assembly.sqlite3"
    return SimpleNamespace(serve=serve, url=url, smtp_port=smtp_port, database=database)


def test_a_school_is_connected_although_each_program_is_killed_between_two_steps(
    transaction, provider, worker, assembly, tmp_path
):
    with transaction():
        ring.ensure()
        estab = an_estab(state="unverified")
        review.open_for(estab)
        an_administrator(estab, name="Grace Okafor")
        estab_id, urn = estab.estab_id, estab.school.urn
    register(transaction, manifest_at(assembly.url))
    office = Office(assembly.url)

    # Signed up, and killed before the mail could be sent
    with assembly.serve() as process:
        office.open(f"{assembly.url}/sign-up")
        office.press("Sign up", code="WELCOME", email=EMAIL, password=OWN_PASSWORD, terms="2026-01")
        process.kill()

    with ExitStack() as running:
        serving = running.enter_context(provider.serve())
        with receive_mail(tmp_path / "maildir", assembly.smtp_port), assembly.serve() as process:
            _make_all_due(assembly.database)
            eventually(lambda: messages.list_messages(tmp_path / "maildir"))
            office.open(re.findall(r"http://\S+/activate/\S+", messages.list_messages(tmp_path / "maildir")[0].text)[0])
            office.press("Activate my account", password=OWN_PASSWORD)
            office.open(f"{assembly.url}/school?q={urn}")
            office.press("Continue", urn=urn, mis="sims")
            serving.kill()
            # Grant Access while the provider is away, and killed
            office.press("Grant Access", name="Grace Okafor")
            assert "Asking for the e-mail" in office.page_text
            process.kill()

    with provider.serve(), assembly.serve() as process:
        eventually(lambda: _count(transaction) == 1)
        office.open(f"{assembly.url}/connector")
        assert "E-mail sent" in office.page_text

        # Killed while the person is away at the provider
        office.open(f"{assembly.url}/school-account")
        assert office.url.startswith(provider.url)
        process.kill()

    with provider.serve(), assembly.serve() as process:
        office.press("Sign in", username=estab_id, password=PASSWORD)
        office.authorise()
        assert "School not verified yet" in office.page_text
        process.kill()

    # Verified while Assembly, the provider and its worker are all down
    with transaction():
        review.verify(estab_id, by="cli")
    with provider.serve(), assembly.serve(), worker() as sending:
        eventually(lambda: _status(assembly.database, estab_id) == "awaiting_endpoint")
        sending.kill()
        assert _count(transaction) == 1, "no second invitation"


def _count(transaction):
    with transaction() as session:
        return len(session.scalars(select(SchoolInvitation)).all())


def _status(file, estab_id):
    connection = connections.find(Database(file), estab_id=estab_id)
    return connection.status if connection else None


def _make_all_due(file):
    """Make all messages due, so that no test waits for the next attempt."""
    with closing(sqlite3.connect(file, timeout=10)) as database, database:
        database.execute("UPDATE mails SET due_at = 0")


def _responds(url):
    try:
        return requests.get(f"{url}/healthz", timeout=10).ok
    except requests.RequestException:
        return False
