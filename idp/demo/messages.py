"""The instructions in the terminal: addresses, what to try, how to stop."""

from pathlib import Path

import click

from idp.demo.services import COMMAND, FOLDER, INVITE_CODE, MIS, MIS_COMMAND, SERVER_COMMAND, Services
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings

SCHOOL, NUMBER = "Willow Bank Primary School", "3124567"
"""A school of the sample register, which the guided tour registers."""


def ready(settings: Settings, programs: Services, seconds: float, operator_link: str | None) -> str:
    """The instructions for a first visit."""
    command, logs = _relative(COMMAND), _relative(FOLDER)
    server, mis = _relative(SERVER_COMMAND), _relative(MIS_COMMAND)
    issuer = settings.server.issuer
    parts = [
        f"\nReady in {seconds:.1f} seconds.\n",
        _table(
            ("Assembly, a partner", programs.assembly.url, "begin here"),
            ("SchoolBooking, its second application", programs.schoolbooking.url, "for iSAMS and Arbor schools only"),
            ("XporterOnDemand, which has the data", programs.xporter.url, "for programs: endpoints and partners"),
            ("Demo mailbox", programs.mailbox.url, "every e-mail and text message sent"),
            (settings.service.name, issuer, f"or register directly: {issuer}/register"),
        ),
    ]
    if operator_link:
        parts.append(f"\n  Your operator's account is set up here, once and within a day:\n  {operator_link}")
    parts += [
        "\n" + click.style("What to try", bold=True),
        f"  1. Open {programs.assembly.url} and sign up, with the invite code {INVITE_CODE}.",
        f"  2. Read the e-mail in the demo mailbox, {programs.mailbox.url}, and activate the account.",
        f"  3. Look for {SCHOOL}, choose SIMS, and continue. (SchoolBooking would refuse SIMS: try it.)",
        '  4. Press "Grant Access"; in the e-mail, press "Begin Authorisation", and say that you have authority.',
        '  5. Choose "Register your school", which is found already; give a name and an e-mail address, and verify it.',
        "  6. Sign up, keep the Estab ID and password, continue, and authorise sharing. Back at Assembly, it",
        "     knows your school; its data waits until the school is verified.",
        "  7. Verify it, as our staff would, and watch Assembly's page say so by itself:",
        f"       {command} onboarding queue",
        f"       {command} onboarding verify {NUMBER}",
        "  8. Act as the school's server: make a system (MIS) with fictional pupils, register with the Estab ID and",
        "     the password, and send a first extract. Assembly's page turns to connected and shows the pupils:",
        f"       {mis}",
        f"       {server} register --issuer {issuer} --mis sims --source {_relative(MIS / 'sims')}",
        f"       {server} once",
        '  9. Let a pupil leave, send again, and press "Check again" at Assembly, which then has one pupil fewer:',
        f"       {mis} --change leaves",
        f"       {server} once",
        f"  10. On the school's own page at {issuer}, switch an area off, see who read what, and stop sharing;",
        "      Assembly's page follows.",
        "  11. Act as a partner's developer: invite yourself, and set up the account by e-mail, which signs you in at",
        f"      {issuer}/developers. A sandbox application and a quick start lead to a first token:",
        f'       {command} developers invite Assembly "Sam Lee" sam@assembly.example --owner',
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
