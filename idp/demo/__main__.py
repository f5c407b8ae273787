"""`python -m idp.demo`, which is `make demo`: prepare, start, say where to go, and stop when told to."""

import os
import shutil
import signal
import time
from types import FrameType
from typing import NoReturn

import click

from idp.demo import places, words
from idp.demo.places import Places
from idp.demo.processes import Died, Program, Running, last_lines
from idp.foundation.settings import BadSettings, Settings, load


@click.command()
@click.option("--reset", is_flag=True, help="Clear the demonstration's data, and start nothing.")
def main(*, reset: bool) -> None:
    """Run the whole product on this machine: provider, worker, a partner, and a mailbox that shows what is sent.

    Data stays in var/ between runs. Ports are set by IDP_SERVER__PORT, ASSEMBLY_PORT and MAILBOX_PORT.
    """
    began = time.monotonic()
    try:
        where = places.chosen()
        os.environ.update(places.provider_environment(where))
        settings = load()
    except (places.WrongPort, BadSettings) as bad:
        raise _stopped(str(bad), code=2) from bad
    if faults := places.busy(where):
        raise _stopped("\n".join(faults))
    if reset:
        _clear(settings)
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        _run(settings, where, began)
    except Died as died:
        click.echo("\n".join(["", *last_lines(died.log), ""]), err=True)
        raise _stopped(f"{died}. Everything has been stopped; above is the end of {died.log}.") from died
    except KeyboardInterrupt:
        click.echo("\nStopped. The data is kept: make demo goes on from here.")


def _run(settings: Settings, where: Places, began: float) -> NoReturn:
    """Start and watch; raises `Died` or `KeyboardInterrupt`, and nothing runs any more then.

    What can start without the database starts while it is being prepared: that halves the wait.
    """
    told = places.clients_environment(where, settings)
    with Running() as running:
        running.start(Program("mailbox", ("clients.mailbox",), f"{where.mailbox.url}/healthz"), told)
        running.start(Program("idp", ("idp.cli", "serve"), f"{where.idp.url}/readyz"), {})
        link = _prepared(where)
        running.start(Program("worker", ("idp.cli", "worker")), {})
        running.start(Program("assembly", ("clients.assembly",), f"{where.assembly.url}/healthz"), told)
        running.wait_until_ready()
        click.echo(words.ready(settings, where, time.monotonic() - began, link))
        running.watch()
    raise AssertionError("watching ends by raising alone")


def _prepared(where: Places) -> str | None:
    """Prepare, with a word per step on one line; late import, so that the children start first."""
    from idp.demo import prepare

    click.echo("Preparing:", nl=False)
    quiet = load(server={"log_level": "WARNING"})
    try:
        return prepare.everything(quiet, where, lambda step: click.echo(f" {step} ✓", nl=False))
    except prepare.Unprepared as fault:
        raise _stopped(f"\n{fault}") from fault
    finally:
        click.echo()


def _clear(settings: Settings) -> None:
    """Remove what earlier demonstrations left, and nothing else."""
    files = places.database_files(settings)
    for file in files:
        file.unlink(missing_ok=True)
    for folder in (places.FOLDER, settings.outbox.mailbox):
        shutil.rmtree(folder, ignore_errors=True)
    click.echo("The demonstration's data is cleared.")
    if not files:
        click.echo(f"The database is not ours to clear: {settings.database.url.partition('@')[2]}", err=True)


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _stopped(why: str, *, code: int = 1) -> SystemExit:
    click.echo(click.style(why, fg="red"), err=True)
    return SystemExit(code)


if __name__ == "__main__":
    main(prog_name="python -m idp.demo")
