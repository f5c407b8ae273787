"""`idp doctor`: is everything as it should be, why it matters, and what to do where it is not.

Each package declares its checks in a `doctor` module.
"""

import sys
from dataclasses import asdict
from typing import Final

import click
from sqlalchemy.exc import SQLAlchemyError

from idp.audit import doctor as audit
from idp.estabs import doctor as estabs
from idp.federation import doctor as federation
from idp.foundation import doctor as foundation
from idp.foundation.command import application, json_option, show_json
from idp.foundation.doctor import Check, Finding
from idp.foundation.errors import one_line_summary
from idp.foundation.web import doctor as web
from idp.foundation.web.transactions import transaction
from idp.jobs import doctor as jobs
from idp.keys import doctor as keys
from idp.migrations import doctor as migrations
from idp.onboarding import doctor as onboarding
from idp.outbox import doctor as outbox
from idp.partner_events import doctor as partner_events
from idp.schools import doctor as schools
from idp.sharing import doctor as sharing
from idp.signin import doctor as signin
from idp.xporter import doctor as xporter

CHECKS: Final[tuple[Check, ...]] = (
    *migrations.CHECKS, *keys.CHECKS, *outbox.CHECKS, *schools.CHECKS, *onboarding.CHECKS, *estabs.CHECKS,
    *signin.CHECKS, *federation.CHECKS, *sharing.CHECKS, *audit.CHECKS, *jobs.CHECKS, *foundation.CHECKS,
    *partner_events.CHECKS, *xporter.CHECKS, *web.CHECKS,
)  # fmt: skip


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Check the installation, and show what to do about each finding. Exit code 0: all well, 1: warnings, 2: faults."""
    app = application(context)
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            with transaction(app):
                findings += check()
        except SQLAlchemyError as error:
            findings.append(
                Finding(check.__name__, "fault", f"the database does not respond: {one_line_summary(error)}")
            )
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "ok     ", "warning": "WARNING", "fault": "FAULT  "}[finding.level]
            click.echo(f"{mark}  {finding.what}: {finding.message}" + (f"; {finding.do}" if finding.do else ""))
    sys.exit(max({"ok": 0, "warning": 1, "fault": 2}[finding.level] for finding in findings))
