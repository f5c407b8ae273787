"""`python -m idp.demo`, run by `make demo`: prepare, start, print instructions, and stop on a signal."""

import os
import shutil
import signal
import time
from types import FrameType
from typing import NoReturn

import click

from idp.demo import messages, services
from idp.demo.processes import ProcessGroup, Program, ProgramFailed, last_lines
from idp.demo.services import Services
from idp.foundation.load_settings import InvalidSettings, load
from idp.foundation.settings import Settings


@click.command()
@click.option("--reset", is_flag=True, help="Clear the demonstration's data, and start nothing.")
def main(*, reset: bool) -> None:
    """Run the whole product on this machine.

    That is the provider and its worker, a partner's two applications, XporterOnDemand, and a mailbox that shows what is
    sent. Data stays in var/ between runs. Ports are set by IDP_SERVER__PORT, ASSEMBLY_PORT, SCHOOLBOOKING_PORT,
    XPORTER_PORT, MAILBOX_PORT and MAILBOX_SMTP_PORT.
    """
    started = time.monotonic()
    try:
        programs = services.from_environment()
        os.environ.update(services.provider_environment(programs))
        settings = load()
    except (services.InvalidPort, InvalidSettings) as error:
        raise _exit(str(error), code=2) from error
    if problems := services.port_problems(programs):
        raise _exit("\n".join(problems))
    if reset:
        _clear(settings)
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        _run(settings, programs, started)
    except ProgramFailed as error:
        click.echo("\n".join(["", *last_lines(error.log), ""]), err=True)
        raise _exit(f"{error}. Everything has been stopped; above is the end of {error.log}.") from error
    except KeyboardInterrupt:
        click.echo("\nStopped. The data is kept: make demo continues from here.")


def _run(settings: Settings, programs: Services, started: float) -> NoReturn:
    """Start the programs and watch them until it raises `ProgramFailed` or `KeyboardInterrupt`; then all have stopped.

    Programs that can start without the database do so while it is prepared, which halves the wait.
    """
    environment = services.clients_environment(programs, settings)
    with ProcessGroup() as running:
        running.start(Program("mailbox", ("clients.mailbox",), f"{programs.mailbox.url}/healthz"), environment)
        running.start(Program("assembly", ("clients.assembly",), f"{programs.assembly.url}/healthz"), environment)
        running.start(Program("idp", ("idp.cli", "serve"), f"{programs.idp.url}/readyz"), {})
        running.start(Program("xporter", ("clients.xporter",), f"{programs.xporter.url}/healthz"), environment)
        link = _prepare(programs)
        running.start(Program("worker", ("idp.cli", "worker")), {})
        running.wait_until_ready()
        click.echo(messages.ready(settings, programs, time.monotonic() - started, link))
        running.watch()
    raise AssertionError("`watch` only ends by an exception")


def _prepare(programs: Services) -> str | None:
    """Prepare, printing each step on one line; imported late, so that the programs start first."""
    from idp.demo import prepare

    click.echo("Preparing:", nl=False)
    settings = load(server={"log_level": "WARNING"})
    try:
        return prepare.prepare_all(settings, programs, lambda step: click.echo(f" {step} ✓", nl=False))
    except prepare.PreparationFailed as error:
        raise _exit(f"\n{error}") from error
    finally:
        click.echo()


def _clear(settings: Settings) -> None:
    """Remove the data of earlier demonstrations only."""
    files = services.database_files(settings)
    for file in files:
        file.unlink(missing_ok=True)
    for folder in (services.FOLDER, settings.outbox.mailbox):
        shutil.rmtree(folder, ignore_errors=True)
    click.echo("The demonstration's data is cleared.")
    if not files:
        click.echo(
            f"The database is not below var/, so it was not cleared: {settings.database.url.partition('@')[2]}",
            err=True,
        )


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _exit(message: str, *, code: int = 1) -> SystemExit:
    click.echo(click.style(message, fg="red"), err=True)
    return SystemExit(code)


if __name__ == "__main__":
    main(prog_name="python -m idp.demo")
