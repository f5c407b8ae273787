"""Prepare the data of a demonstration. Each step is skipped if it was done before, so that a restart keeps the data."""

import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from idp import migrations
from idp.app import create_app
from idp.demo import services
from idp.demo.services import Services
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings
from idp.foundation.web.transactions import transaction
from idp.keys import ring
from idp.partners import registry
from idp.partners.models import Partner
from idp.schools import files, imports, refresh
from idp.schools.models import School
from idp.signin import operators

MANIFEST = ROOT / "clients" / "assembly" / "client.toml"
MANIFEST_URL = "http://localhost:5001"
"""Assembly's address in its manifest."""
SECOND_MANIFEST = ROOT / "clients" / "assembly" / "schoolbooking.toml"
SECOND_MANIFEST_URL = "http://localhost:5004"
XPORTER_MANIFEST = ROOT / "clients" / "xporter" / "client.toml"
XPORTER_MANIFEST_URL = "http://localhost:5003"
ENDPOINT_MANIFEST = ROOT / "clients" / "endpoint" / "client.toml"

OPERATOR = "olive@idaas.example"


class PreparationFailed(Exception):
    """A step failed; the message says which, and what to do."""


def prepare_all(settings: Settings, programs: Services, report: Callable[[str], None]) -> str | None:
    """Prepare all data; calls `report` after each step with its name.

    Returns the link with which the first operator sets up their account; None if there is an operator already.
    Raises `PreparationFailed`.
    """
    try:
        return _prepare_all(settings, programs, report)
    except (SQLAlchemyError, CommandError, Refusal, OSError) as error:
        raise PreparationFailed(
            f"The demonstration could not be prepared: {str(error).partition(chr(10))[0]}.\n"
            "If the data is from another release, `make demo-reset` clears it."
        ) from error


def _prepare_all(settings: Settings, programs: Services, report: Callable[[str], None]) -> str | None:
    services.FOLDER.mkdir(parents=True, exist_ok=True)
    app = create_app(settings)
    migrations.upgrade(app)
    with transaction(app):
        ring.ensure()
    report("database")
    report("signing keys")
    with transaction(app):
        report(f"{_import_schools(settings)} fictional schools")
    with transaction(app):
        _register_clients(programs)
    report("partners")
    with transaction(app):
        link = None if operators.all_operators() else operators.add("Olive Operator", OPERATOR)[1]
    report("an operator")
    _write_commands(programs)
    return link


def _import_schools(settings: Settings) -> int:
    """Import the sample register unless that was done before; returns how many schools there are."""
    if imports.latest() is None:
        with files.open_sources(settings.schools.sample, settings.schools.sample_links) as sample:
            refresh.run(sample)
    return session().scalars(select(func.count()).select_from(School)).one()


def _register_clients(programs: Services) -> None:
    """Register the programs from their manifests, or update them if an address or manifest has changed.

    They have no secrets: their public keys are fetched from the programs themselves.
    """
    for manifest in (
        manifest_at(programs.assembly.url), second_manifest_at(programs.schoolbooking.url),
        xporter_manifest_at(programs.xporter.url), endpoint_manifest(),
    ):  # fmt: skip
        if session().scalar(select(Partner).where(Partner.name == manifest["partner"])) is None:
            website, contact = manifest["client_uri"], manifest["contacts"][0]
            registry.add_partner(manifest["partner"], website=website, contact_email=contact)
        try:
            registry.change(manifest)
        except registry.UnknownClient:
            registry.register(manifest)


def manifest_at(url: str) -> dict[str, Any]:
    """Assembly's manifest with its address replaced by `url`."""
    return _read(MANIFEST, url, old=MANIFEST_URL)


def second_manifest_at(url: str) -> dict[str, Any]:
    """SchoolBooking's manifest with its address replaced by `url`."""
    return _read(SECOND_MANIFEST, url, old=SECOND_MANIFEST_URL)


def xporter_manifest_at(url: str) -> dict[str, Any]:
    """XporterOnDemand's manifest with its address replaced by `url`."""
    return _read(XPORTER_MANIFEST, url, old=XPORTER_MANIFEST_URL)


def endpoint_manifest() -> dict[str, Any]:
    """The manifest of the endpoint, which runs on schools' servers and has no address."""
    return tomllib.loads(ENDPOINT_MANIFEST.read_text("utf-8"))


def _read(file: Path, url: str, *, old: str) -> dict[str, Any]:
    manifest = tomllib.loads(file.read_text("utf-8"))
    return {name: services.replace_prefix(value, url, old=old) for name, value in manifest.items()}


def _write_commands(programs: Services) -> None:
    """Write scripts for the terminal: the operator's commands, the school's server, and its MIS."""
    _write_script(services.COMMAND, ["idp.cli"], services.provider_environment(programs))
    _write_script(services.SERVER_COMMAND, ["clients.endpoint", "--home", str(services.ENDPOINT)], {})
    _write_script(services.MIS_COMMAND, ["clients.endpoint.fictional_school", str(services.MIS)], {})


def _write_script(file: Path, arguments: list[str], variables: dict[str, str]) -> None:
    """Write a script that runs a module of this checkout from any folder.

    `-P` keeps Python from importing what stands in that folder, such as another checkout.
    """
    variables = {**variables, "PYTHONPATH": str(ROOT)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    run = f'exec {shlex.join([sys.executable, "-P", "-m", *arguments])} "$@"'
    text = "\n".join(["#!/bin/sh", *lines, run, ""])
    file.write_text(text, "utf-8")
    file.chmod(0o755)
