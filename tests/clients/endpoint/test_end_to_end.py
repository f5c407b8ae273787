"""The endpoint, our provider and XporterOnDemand together: from the code on the screen to the data at the receiver."""

import re
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from clients.endpoint import cli
from clients.endpoint.fictional_school import changes, exports, school as fictional
from clients.xporter import settings as xporter_settings, tables, web
from clients.xporter.app import create_app
from idp.foundation import database, runtime
from idp.foundation.setting_types import ROOT
from idp.foundation.web import transactions
from idp.oidc.tokens import device_codes
from idp.onboarding import review
from idp.partners import manifest, registry
from tests.browser.assembly import register
from tests.clients.office import Office
from tests.factories import PASSWORD, an_administrator, an_estab
from tests.ports import free_port
from tests.processes import a_process
from tests.serving import a_provider, serving

DATA_SCOPES = {
    "school", "students", "students.demographics", "students.sen", "students.medical", "contacts", "staff", "classes",
    "timetable", "attendance", "assessment",
}  # fmt: skip


@pytest.fixture(scope="module")
def provider(databases):
    with a_provider(databases) as (app, _issuer), pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_codes, "INTERVAL_SECONDS", 1)
        yield app


@pytest.fixture(scope="module")
def transaction(provider):
    @contextmanager
    def open_transaction():
        with transactions.transaction(provider):
            yield database.session()

    return open_transaction


@pytest.fixture(scope="module")
def issuer(provider):
    return runtime.for_app(provider).settings.server.issuer


@pytest.fixture(scope="module")
def receiver(issuer, transaction, tmp_path_factory):
    """XporterOnDemand, served, and its worker; both programs are registered."""
    port, folder = free_port(), tmp_path_factory.mktemp("xporter")
    url = f"http://localhost:{port}"
    metadata = {
        "partner": "XporterOnDemand", "client_id": "xporter", "client_name": "XporterOnDemand",
        "client_uri": "https://xporter.example", "contacts": ["developers@xporter.example"],
        "purpose": "To pass on what schools share.", "policy_uri": "https://xporter.example/privacy",
        "agreement_uri": "https://xporter.example/agreement", "agreement_version": "1",
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": f"{url}/jwks.json", "resource": url, "resource_scopes": sorted({*DATA_SCOPES, "endpoint"}),
        "scopes": {"client": ["reads.report"]},
    }  # fmt: skip
    register(transaction, metadata)
    with transaction():
        registry.register(manifest.read_file(ROOT / "clients/endpoint/client.toml"))
    app = create_app(xporter_settings.Settings(issuer, "xporter", url, port, folder, cache_seconds=0))
    with serving(app, port), app.app_context():
        web.current_program().worker.start()
        yield web.current_program()
    app.extensions["xporter"].close()


class School:
    """A school with an office, an MIS, and a server."""

    def __init__(self, transaction, issuer, folder, *, state="verified"):
        with transaction():
            estab = an_estab(state=state)
            if state != "verified":
                review.open_for(estab)
            an_administrator(estab)
            self.estab_id = estab.estab_id
        self.mis, self.home, self.issuer, self.log = folder / "mis", folder / "home", issuer, folder / "register.log"
        self.office = Office(issuer, self.estab_id)
        self.records = fictional.build(pupils=12, seed=3)
        exports.write(self.records, self.mis, "sims")

    def register(self, *options):
        """Run the command as a technician does, and approve the code as the office does; returns the output."""
        arguments = ("register", "--issuer", self.issuer, "--mis", "sims", "--source", str(self.mis), *options)
        with a_process("clients.endpoint", "--home", str(self.home), *arguments, log=self.log) as process:
            process.wait_until(lambda: "Waiting" in process.output)
            link = re.findall(r"http://\S+user_code=\S+", process.output)[-1]
            self.office.open(link)
            if self.office.page.find(id="sign-in"):
                self.office.press("Sign in", username=self.estab_id, password=PASSWORD)
            self.office.press("Continue")
            button = self.office.page.find(id="allow").get_text(strip=True)
            self.office.press(button, **({"authority": "y"} if self.office.page.find(id="authority") else {}))
            process.popen.wait(60)
            assert process.popen.returncode == 0, process.output
            return process.output

    def run(self, *arguments):
        """Run the program; returns the exit status and the output."""
        result = CliRunner().invoke(cli.main, ["--home", str(self.home), *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output


def count_stored(receiver, estab_id):
    """The number of records of a school at the receiver, by collection."""
    query = (
        select(tables.records.c.collection, func.count())
        .join(tables.schools, tables.schools.c.id == tables.records.c.school_id)
        .where(tables.schools.c.estab_id == estab_id, tables.records.c.deleted_at.is_(None))
        .group_by(tables.records.c.collection)
    )
    with receiver.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def test_a_server_registers_sends_is_replaced_and_unregistered(transaction, issuer, receiver, tmp_path):
    school = School(transaction, issuer, tmp_path)

    assert f"registered for the school {school.estab_id}" in school.register()
    status, output = school.run("once")
    assert status == 0, output
    assert count_stored(receiver, school.estab_id) == {
        name: len(records) for name, records in school.records.records.items()
    }

    # A pupil leaves, and one joins
    changes.apply(school.records, "leaves")
    changes.apply(school.records, "joins")
    exports.write(school.records, school.mis, "sims")
    assert school.run("once")[0] == 0
    assert count_stored(receiver, school.estab_id)["students"] == 12
    status, output = school.run("status")
    assert (status, "connected" in output) == (0, True)

    # Another server takes its place
    home = school.home
    school.home = tmp_path / "second"
    assert "registered for the school" in school.register("--replace")
    school.home = home
    assert school.run("once")[0] == 3, "it must be registered again"
    school.home = tmp_path / "second"

    assert school.run("unregister", "--delete-data")[0] == 0
    assert count_stored(receiver, school.estab_id) == {}


def test_a_school_that_is_not_verified_sends_nothing_until_it_is(transaction, issuer, receiver, tmp_path):
    school = School(transaction, issuer, tmp_path, state="unverified")

    assert "not verified yet" in school.register()
    assert "not verified yet" in school.run("once")[1]
    assert count_stored(receiver, school.estab_id) == {}

    with transaction():
        review.verify(school.estab_id, by="cli")

    status, output = school.run("once")
    assert status == 0, output
    assert count_stored(receiver, school.estab_id)["students"] == 12
