"""The `idp` command for operators; its commands call the same functions as the pages."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from idp.foundation.command import NAMES, NameLookups, application

if TYPE_CHECKING:
    from flask import Flask

COMMANDS = {
    "audit": "idp.audit.cli:commands",
    "clients": "idp.partners.cli:clients",
    "endpoints": "idp.operate.endpoints_cli:commands",
    "events": "idp.partner_events.cli:commands",
    "keys": "idp.keys.cli:commands",
    "onboarding": "idp.onboarding.cli:commands",
    "operators": "idp.signin.cli:commands",
    "outbox": "idp.outbox.cli:commands",
    "partners": "idp.partners.cli:partners",
    "sandbox": "idp.developers.sandbox_cli:commands",
    "schools": "idp.schools.cli:commands",
    "serve": "idp.serve:serve",
    "worker": "idp.worker:worker",
    "developers": "idp.signin.developers_cli:commands",
    "doctor": "idp.doctor:doctor",
    "estabs": "idp.operate.cli:estabs",
    "people": "idp.operate.people_cli:commands",
}
"""Each command's module and object, imported only when the command is run, so that `idp --help` is fast."""

HELP_TEXTS = {
    "audit": "Search the audit log, and verify its chain.",
    "clients": "Register partners' applications, rotate their secrets, disable them.",
    "config": "Check the settings, show them, or make secrets.",
    "db": "Bring the database to the newest schema, back it up, and restore it.",
    "developers": "Invite partners' people, who sign in at /developers, or remove them.",
    "doctor": "Check the installation, and show what to do about each finding.",
    "estabs": "Find schools' accounts, suspend and restore them, end their sessions.",
    "endpoints": "List the agents on schools' servers with their state, and remove one.",
    "events": "See the events for partners and what waits, and deliver events again.",
    "keys": "List, rotate and retire the signing keys.",
    "onboarding": "Check new schools: the queue, a case, the decision.",
    "operators": "Add our own staff by a one-time set-up link.",
    "outbox": "List messages that were not sent, and retry those that failed.",
    "partners": "Add and list the companies that schools share data with.",
    "people": "Help people who cannot sign in, and end their sessions.",
    "sandbox": "Make and remove partners' sandbox applications and fictional schools.",
    "schools": "Refresh and search the national register.",
    "serve": "Serve the identity provider with Granian.",
    "worker": "Deliver messages, seal the audit chain, clean up: runs until stopped.",
}


class LazyGroup(click.Group):
    """A group that imports a package only when its command is run or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, by name."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module behind `name`."""
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        from importlib import import_module

        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with a line each, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP_TEXTS[name]) for name in self.list_commands(ctx)])


def _create_app() -> "Flask":
    from idp.app import create_app

    return create_app()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="idp", prog_name="idp")
@click.option(
    "--as", "operator", metavar="EMAIL", envvar="IDP_OPERATOR",
    help="Act as this operator: the audit log names them. Or set IDP_OPERATOR.",
)  # fmt: skip
@click.pass_context
def main(context: click.Context, operator: str | None) -> None:
    """IDaaS: lets schools share data with the services they use.

    Settings are read from config/default.toml, the file that IDP_CONFIG names, and the environment; see
    `idp config check`. Exit codes: 0 done, 1 refused, 2 wrong usage or bad settings.

    What a command does is recorded under the name of the operator that --as gives. In production it is required
    as soon as an operator has been set up. It is not a sign-in: a person who can run this command can do anything.
    """
    context.obj = _create_app
    context.meta[NAMES] = NameLookups(
        acting_operator=lambda: _resolve().acting_operator(operator), estab=lambda typed: _resolve().estab(typed),
        operator=lambda email: _resolve().operator(email), addresses=lambda: _resolve().addresses(),
    )  # fmt: skip


def _resolve() -> ModuleType:
    from idp.operate import resolve

    return resolve


@main.group()
def config() -> None:
    """Check the settings, show them, or make secrets."""


@config.command("check")
def config_check() -> None:
    """Check the settings and report every error; exit code 2 if there is one."""
    settings = _settings()
    click.echo(f"The settings are good: {settings.environment}, {settings.server.issuer}.")


@config.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def config_show(*, as_json: bool) -> None:
    """Show every setting in force. Secrets and passwords are masked."""
    from idp.foundation.command import show_json

    table = _masked(_settings().model_dump(mode="python"))
    if as_json:
        show_json(table)
        return
    for section, values in table.items():
        if not isinstance(values, dict):
            click.echo(f"{section} = {values!r}")
            continue
        click.echo(f"\n[{section}]")
        for name, value in values.items():
            click.echo(f"{name} = {str(value) if not isinstance(value, str) else repr(value)}")


@config.command("generate-secrets")
def config_generate_secrets() -> None:
    """Print a fresh [secrets] table, for a settings file that only the service can read."""
    import base64
    import secrets

    def fresh() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode("ascii")

    click.echo(f'[secrets]\nsession = "{fresh()}"\ntokens = "{fresh()}"\n\n[secrets.sealing]\nk1 = "{fresh()}"')


def _masked(table: dict[str, Any]) -> dict[str, Any]:
    """The table with secrets masked, also the passwords in URLs."""
    from sqlalchemy import make_url

    for name in ("session", "tokens"):
        table["secrets"][name] = "(set)"
    table["secrets"]["sealing"] = dict.fromkeys(table["secrets"]["sealing"], "(set)")
    table["mail"]["password"] = "(set)" if table["mail"]["password"].get_secret_value() else ""
    table["sms"]["gateway_token"] = "(set)" if table["sms"]["gateway_token"].get_secret_value() else ""
    table["sms"]["receipt_token"] = "(set)" if table["sms"]["receipt_token"].get_secret_value() else ""
    table["database"]["url"] = make_url(table["database"]["url"]).render_as_string(hide_password=True)
    return table


def _settings() -> Any:
    from idp.foundation.command import Misconfigured
    from idp.foundation.load_settings import InvalidSettings, load

    try:
        return load()
    except InvalidSettings as error:
        raise Misconfigured(str(error)) from error


@main.group("db")
def database() -> None:
    """Bring the database to the newest schema, back it up, and restore it."""


@database.command("upgrade")
@click.pass_context
def database_upgrade(context: click.Context) -> None:
    """Apply the migrations that are missing, and make signing keys if there are none. Safe to run again."""
    from idp import migrations
    from idp.foundation.web.transactions import transaction
    from idp.keys import ring

    app = application(context)
    before, after = migrations.upgrade(app)
    with transaction(app):
        ring.ensure()
    click.echo(f"The database is at {after}." if before == after else f"{before or 'empty'} -> {after}")


@database.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def database_backup(context: click.Context, file: Path) -> None:
    """Write the whole database into FILE, a new one, while the service runs.

    It contains what the schools have told us, and is as confidential as the database. Keep it apart from the secrets
    of the settings: without them, passwords, keys and tokens in it are of no use, and with them it is all there is.
    """
    from idp.foundation.command import acting_operator, format_time, progress, to_click_error
    from idp.foundation.errors import Refusal
    from idp.migrations import backups

    try:
        backup = backups.create(application(context), file, by=acting_operator, progress=progress)
    except Refusal as error:
        raise to_click_error(error) from error
    click.echo(f"{file}: {backup.total:,} rows, {file.stat().st_size >> 10:,} KiB, {format_time(backup.taken_at)}")


@database.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def database_restore(context: click.Context, file: Path) -> None:
    """Copy the backup FILE into the database of the settings, which must be new and empty.

    The settings need the secrets of the installation that the backup is from. Start `idp serve` and `idp worker`
    afterwards: a backup has no sessions, so everybody signs in again.
    """
    from idp.foundation.command import format_time, progress, to_click_error
    from idp.foundation.errors import Refusal
    from idp.migrations import backups

    try:
        backup = backups.restore(application(context), file, progress=progress)
    except Refusal as error:
        raise to_click_error(error) from error
    click.echo(
        f"{backup.total:,} rows of {backup.issuer} were restored, as they were on {format_time(backup.taken_at)}.\n"
        "Check them by `idp doctor` and `idp audit verify`, and start `idp serve` and `idp worker`."
    )


@database.command("draft")
@click.argument("what")
@click.pass_context
def database_draft(context: click.Context, what: str) -> None:
    """For contributors: write the migration from the schema's head to the models, to be read and corrected.

    WHAT it adds, in a few words, becomes its name. The configured database has to be at the head.
    """
    from idp import migrations

    click.echo(f"Wrote {migrations.draft(application(context), what)}; now read it.")


if __name__ == "__main__":
    main(prog_name="idp")
