"""The instructions in the terminal: addresses, what to try, how to stop."""

from pathlib import Path

import click

from idp.demo.services import COMMAND, FOLDER, Services
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings

SCHOOL, NUMBER = "Willow Bank Primary School", "3124567"
"""A school of the sample register, which the guided tour registers."""


def ready(settings: Settings, programs: Services, seconds: float, operator_link: str | None) -> str:
    """The instructions for a first visit."""
    command, logs = _relative(COMMAND), _relative(FOLDER)
    issuer = settings.server.issuer
    parts = [
        f"\nReady in {seconds:.1f} seconds.\n",
        _table(
            ("Assembly, a partner", programs.assembly.url, "begin here"),
            ("Demo mailbox", programs.mailbox.url, "every e-mail and text message sent"),
            (settings.service.name, issuer, f"or register directly: {issuer}/register"),
        ),
    ]
    if operator_link:
        parts.append(f"\n  Your operator's account is set up here, once and within a day:\n  {operator_link}")
    parts += [
        "\n" + click.style("What to try", bold=True),
        f"  1. Open {programs.assembly.url} and press “Sign in with your school account”.",
        f"  2. Choose “Register your school” and look for {NUMBER}, or for Willow Bank: {SCHOOL}.",
        f"  3. Give any name and e-mail address; read the mail in the demo mailbox, {programs.mailbox.url}.",
        "  4. Verify the address, sign up, keep the Estab ID and password, and carry on to Assembly.",
        "  5. Authorise sharing. Assembly knows you now; your school's data waits until the school is verified.",
        "  6. Verify it, as our staff would, then press “Check again” at Assembly:",
        f"       {command} onboarding queue",
        f"       {command} onboarding verify {NUMBER}",
        "  7. Sign out, and sign in again with the Estab ID: you are not asked again.",
        f"\n{command} --help shows the other commands. Logs: {logs}/*.log",
        "Ctrl-C stops everything and keeps the data; make demo-reset clears it.",
    ]
    return "\n".join(parts)


def _table(*rows: tuple[str, str, str]) -> str:
    name, url = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"  {row[0]:<{name}}  {click.style(f'{row[1]:<{url}}', bold=True)}  {row[2]}" for row in rows)


def _relative(path: Path) -> str:
    """A path relative to the project's folder."""
    return str(path.relative_to(ROOT))
