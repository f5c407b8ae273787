"""Everything a demonstration starts from. Each step finds out whether it has been done: a restart keeps it all."""

import shlex
import sys
import tomllib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from alembic.util import CommandError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from idp import migrations
from idp.app import create_app
from idp.demo import places
from idp.demo.places import Places
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings
from idp.foundation.web.transactions import work
from idp.keys import ring
from idp.partners import registry
from idp.partners.models import Partner
from idp.schools import files, refresh
from idp.schools.models import School
from idp.signin import operators

MANIFEST = ROOT / "clients" / "assembly" / "client.toml"
ADDRESS = "http://localhost:5001"
"""Where the manifest says that Assembly is."""

OPERATOR = "olive@idaas.example"


class Unprepared(Exception):
    """A step went wrong; the message says which, and what may help."""


def everything(settings: Settings, where: Places, told: Callable[[str], None]) -> str | None:
    """Prepare it all, with a word to `told` about each step done.

    Returns the link by which the first operator sets up their account; None if there has been one before.
    Raises `Unprepared`.
    """
    try:
        return _everything(settings, where, told)
    except (SQLAlchemyError, CommandError, Refusal, OSError) as fault:
        raise Unprepared(
            f"It could not be prepared: {str(fault).partition(chr(10))[0]}.\n"
            "If the data is of another release, `make demo-reset` clears it."
        ) from fault


def _everything(settings: Settings, where: Places, told: Callable[[str], None]) -> str | None:
    places.FOLDER.mkdir(parents=True, exist_ok=True)
    app = create_app(settings)
    migrations.upgrade(app)
    with work(app):
        ring.ensure()
    told("database")
    told("signing keys")
    with work(app):
        told(f"{_schools(settings)} fictional schools")
    with work(app):
        _partner(where)
    told("a partner")
    with work(app):
        link = None if operators.all_operators() else operators.add("Olive Operator", OPERATOR)[1]
    told("an operator")
    _write_command(where)
    return link


def _schools(settings: Settings) -> int:
    if refresh.latest() is None:
        with files.open_sources(settings.schools.sample, settings.schools.sample_links) as sample:
            refresh.run(sample)
    return session().scalars(select(func.count()).select_from(School)).one()


def _partner(where: Places) -> None:
    """Register Assembly from its manifest, or again if its address or manifest has changed."""
    manifest = manifest_at(where.assembly.url)
    if session().scalar(select(Partner).where(Partner.name == manifest["partner"])) is None:
        registry.add_partner(manifest["partner"], website=manifest["client_uri"], contact_email=manifest["contacts"][0])
    try:
        _, secret = registry.change(manifest)
    except registry.UnknownClient:
        _, secret = registry.register(manifest)
    if secret is None and not places.SECRET.exists():
        secret = registry.rotate_secret(manifest["client_id"], overlap=timedelta(0), by="cli")
    if secret is not None:
        places.SECRET.touch(mode=0o600)
        places.SECRET.write_text(secret, "ascii")


def manifest_at(url: str) -> dict[str, Any]:
    """Assembly's manifest, as if it had always been at `url`."""
    manifest = tomllib.loads(MANIFEST.read_text("utf-8"))
    return {name: places.moved(value, url, by=ADDRESS) for name, value in manifest.items()}


def _write_command(where: Places) -> None:
    """A script for the operator's commands, so that nobody has to type settings."""
    told = places.provider_environment(where)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(told.items())]
    run = f'exec {shlex.quote(sys.executable)} -m idp.cli "$@"'
    text = "\n".join(["#!/bin/sh", *lines, run, ""])  # in the caller's folder: files they name are there
    places.COMMAND.write_text(text, "utf-8")
    places.COMMAND.chmod(0o755)
