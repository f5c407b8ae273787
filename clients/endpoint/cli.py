"""The commands: register, run, once, status, unregister."""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click

from . import __version__, logs, readers
from .agent import WAITING_MESSAGES, Agent, Silent
from .connection import require_https
from .dpop import Key
from .errors import (
    AgentError,
    EndpointExists,
    InvalidSettings,
    NotRegistered,
    RegistrationEnded,
    RequestRefused,
    ServerUnreachable,
    SharingInterrupted,
)  # fmt: skip
from .home import Home, State
from .provider import CodeExpired, Provider, Tokens
from .session import INTERRUPTED, Session
from .terminal import Terminal, show_code

log = logging.getLogger(__name__)

MAX_CODES = 3
"""How many codes are shown, one after the other, before it gives up."""
MIN_INTERVAL_MINUTES = 15
"""The least time between two extracts."""
sleep = time.sleep


def default_home() -> Path:
    """The home folder unless `--home` names one. The account of the service must be able to write there."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "XporterEndpoint"
    else:  # noqa: RET505  mypy follows the platform this way
        return Path("/var/lib/xporter-endpoint") if os.geteuid() == 0 else Path("~/.xporter-endpoint").expanduser()


def report_errors(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: an `AgentError` is shown as what happened and what to do, and ends the program."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except AgentError as error:
            click.echo(f"\n{error.message}\nWhat to do: {error.remedy}\n(code {error.code})", err=True)
            sys.exit(error.exit_status)
        finally:
            logs.end()

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Where settings, keys and log are.")
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context, home: Path | None) -> None:
    """Send data of a school's MIS to XporterOnDemand, from the school's own server."""
    context.obj = Home(home or default_home())


@main.command()
@click.option("--issuer", required=True, help="The address of the identity provider, as given to the school.")
@click.option("--mis", required=True, type=click.Choice(sorted(readers.NAMES)))
@click.option(
    "--source", required=True, help="The folder or file that the MIS exports to; for Arbor, iSAMS an address."
)
@click.option("--name", default=socket.gethostname, help="This server's name on the school's page.  [its host name]")
@click.option("--mis-username", envvar="ENDPOINT_MIS_USERNAME", help="Arbor, iSAMS: username, or client id.")
@click.option("--mis-password", envvar="ENDPOINT_MIS_PASSWORD", help="Arbor, iSAMS: a terminal asks for it.")
@click.option(
    "--extract-every", default=240, show_default=True, type=click.IntRange(MIN_INTERVAL_MINUTES), help="Minutes."
)
@click.option("--replace", is_flag=True, help="Take the place of another server of the school.")
@click.pass_obj
@report_errors
def register(home: Home, replace: bool, **settings: Any) -> None:
    """Register this server: shows a code that the school's administrator approves in a browser."""
    settings["issuer"] = settings["issuer"].rstrip("/")
    require_https(settings["issuer"])
    _check_source(settings)
    with home.locked():
        logs.begin(home.log, to_screen=False)
        state = _new_state(home, settings)
        session = Session(home, state)
        session.accept(_get_tokens(session.provider))
        _report_first(session, replace=replace)
        state = session.state
        log.info("Registered for the school %s as %s.", state.estab_id, state.name)
        click.echo(f"\nThis server is registered for the school {state.estab_id} as {state.name}.")
        if state.estab_status != "verified":
            click.echo(WAITING_MESSAGES.get(state.estab_status, WAITING_MESSAGES["unverified"]))
        click.echo("Send a first extract with the command once, or start the service.")


@main.command()
@click.option("--accept-fewer", is_flag=True, help="Send it even if it has far fewer records than the last one.")
@click.pass_obj
@report_errors
def once(home: Home, accept_fewer: bool) -> None:
    """Send an extract now, and report in."""
    with _agent(home, to_screen=False) as agent:
        agent.view, agent.accept_fewer = Terminal(), accept_fewer
        if not agent.round(wanted=True):
            status = agent.session.state.estab_status
            click.echo(WAITING_MESSAGES.get(status, WAITING_MESSAGES["unverified"]))
            return
        records = (agent.session.state.last_extract or {}).get("records", {})
        click.echo("Sent: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in records.items()))
        if error := agent.session.state.last_error:
            click.echo(f"Not all could be read: {error['message']}")
        if agent.session.state.problem_count:
            click.echo(f"Some values were wrong; see {home.folder / 'problems.txt'}")


@main.command()
@click.option("--quiet", is_flag=True, help="Log to the file only.")
@click.pass_obj
@report_errors
def run(home: Home, quiet: bool) -> None:
    """Work as a service: report in and send extracts on a schedule, until stopped."""
    stopping = threading.Event()
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stopping.set())
    with _agent(home, to_screen=not quiet) as agent:
        agent.view, agent.sleep = Silent(), lambda seconds: discard(stopping.wait(seconds))
        agent.run(stopping.is_set)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For monitoring.")
@click.pass_obj
@report_errors
def status(home: Home, as_json: bool) -> None:
    """Show the state of this server. Ends with 0 if all is well, 1 after an error, 3 if it must be registered."""
    state = home.load()
    if as_json:
        click.echo(json.dumps(_without_secrets(state), indent=1))
    else:
        for title, text in _status_lines(state):
            click.echo(f"{title + ':':15}{text}")
    if not state.refresh_token:
        raise RegistrationEnded("see the log")
    sys.exit(1 if state.last_error else 0)


@main.command()
@click.option("--delete-data/--keep-data", default=None, help="Whether XporterOnDemand deletes what was sent.")
@click.pass_obj
@report_errors
def unregister(home: Home, delete_data: bool | None) -> None:
    """End the registration of this server."""
    with home.locked():
        state = home.load()
        logs.begin(home.log, to_screen=False)
        if not state.refresh_token:
            home.forget()
            click.echo("The registration had ended before. Settings and keys were deleted here.")
            return
        if delete_data is None:
            delete_data = click.confirm("Delete everything that was sent for this school, too?", default=False)
        session = Session(home, state)
        if delete_data:
            if not state.resource:
                Agent(session).report()
            session.send("DELETE", f"{session.state.resource}/v1/data")
            click.echo("Everything that was sent has been deleted. Partners keep what they received before.")
        session.call(session.provider.unregister)
        log.info("Unregistered. What was sent was %s.", "deleted" if delete_data else "kept")
        home.forget()
        click.echo("This server is not registered any more. Settings and keys were deleted here.")


@contextmanager
def _agent(home: Home, *, to_screen: bool) -> Iterator[Agent]:
    """The agent with the registration in this home folder, which stays locked. Raises `NotRegistered`."""
    with home.locked():
        state = home.load()
        if not state.refresh_token:
            raise NotRegistered
        logs.begin(home.log, to_screen=to_screen)
        home.clean(keep=state.pending.file if state.pending else None)
        try:
            yield Agent(Session(home, state), sleep=sleep)
        except AgentError as error:
            log.error("%s (code %s)", error, error.code)  # noqa: TRY400  plain words, without a traceback
            raise


def _check_source(settings: dict[str, Any]) -> None:
    """Ask for the credentials that the MIS requires, and check the source. Raises `InvalidSettings`."""
    if settings["mis"] in readers.OVER_HTTP:
        require_https(settings["source"])
        if sys.stdin.isatty():
            settings["mis_username"] = settings["mis_username"] or click.prompt("Username (client id) at the MIS")
            settings["mis_password"] = settings["mis_password"] or click.prompt("Password (secret)", hide_input=True)
        if not (settings["mis_username"] and settings["mis_password"]):
            raise InvalidSettings(
                "The MIS requires a username and a password.",
                "Set ENDPOINT_MIS_USERNAME and ENDPOINT_MIS_PASSWORD, or run this in a terminal, which asks for them.",
            )
        return
    path = Path(settings["source"]).expanduser().absolute()
    if not path.exists():
        raise InvalidSettings(f"{path} does not exist.", "Check --source: the folder or file that the MIS exports to.")
    settings["source"] = str(path)


def _new_state(home: Home, settings: dict[str, Any]) -> State:
    """The state of a new registration; a server registered before at the same provider keeps its key."""
    key, last = None, None
    try:
        before = home.load()
        if before.issuer == settings["issuer"]:
            key, last = before.key, before.last_extract if before.mis == settings["mis"] else None
    except NotRegistered:
        pass
    return State(
        issuer=settings["issuer"], mis=settings["mis"], source=settings["source"], name=settings["name"],
        key=key or Key.generate(), mis_username=settings["mis_username"] or "",
        mis_password=settings["mis_password"] or "", extract_every_seconds=settings["extract_every"] * 60,
        last_extract=last,
    )  # fmt: skip


def _get_tokens(provider: Provider) -> Tokens:
    """Show codes, one after the other, until one is approved; returns its tokens."""
    for number in range(MAX_CODES):
        if number:
            click.echo("\nThe code has expired. Here is another one.")
        try:
            code = provider.request_device_code()
            show_code(code)
            for tokens in provider.poll(code, sleep):
                if tokens is not None:
                    return tokens
        except CodeExpired:
            continue
        except RequestRefused as error:
            if error.error == "access_denied":
                raise InvalidSettings(
                    "The request was refused in the browser.", "If that was a mistake, run the command register again."
                ) from error
            raise
    raise InvalidSettings(
        "No code was approved in time.", "Run the command register again when someone can approve it."
    )


def _report_first(session: Session, *, replace: bool) -> None:
    """Report in for the first time. If another server is registered, ask; if that one is to stay, revoke our tokens."""
    agent = Agent(session, sleep=sleep)
    try:
        agent.report(replaces=replace)
    except EndpointExists as error:
        if sys.stdin.isatty() and click.confirm(f"\n{error.message}\nShall this server take its place?", default=False):
            agent.report(replaces=True)
            return
        with suppress(ServerUnreachable, RequestRefused):  # it expires by itself
            session.provider.revoke(session.state.refresh_token)
        session.save(refresh_token="", access_token="")
        raise


def _status_lines(state: State) -> Iterator[tuple[str, str]]:
    last, pending = state.last_extract, state.pending
    yield "School", f"{state.estab_id or 'not known yet'} ({state.estab_status or 'status not known yet'})"
    yield "Server", f"{state.name}, program {__version__}"
    yield "MIS", f"{readers.NAMES.get(state.mis, state.mis)}, from {state.source}"
    yield "Provider", state.issuer
    yield "Registered", f"yes, {state.endpoint_state}" if state.refresh_token else "no"
    if state.refresh_token and state.connected_until:
        yield "Connected to", f"{state.connected_until[:10]}, or longer if the school renews it on its page"
    yield "Reported in", state.reported_at or "never"
    if last:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in last["records"].items())
        yield "Last extract", f"{last['sent_at']}: {counts}"
    else:
        yield "Last extract", "none yet"
    if pending:
        yield "On its way", f"the extract of {pending.made_at}, {pending.bytes:,} bytes"
    if state.problem_count:
        yield "Wrong values", f"{state.problem_count:,}; problems.txt lists them by file and row"
    if abs(state.clock_off_seconds) >= 60:
        yield "Clock", f"off by {state.clock_off_seconds} seconds: please set it (time service)"
    if state.endpoint_state == INTERRUPTED:
        yield "Waiting", str(SharingInterrupted())
    elif state.estab_status in WAITING_MESSAGES:
        yield "Waiting", WAITING_MESSAGES[state.estab_status]
    if state.last_error:
        yield "Wrong", f"{state.last_error['message']} (code {state.last_error['code']}, {state.last_error['at']})"
        yield "What to do", state.remedy


def _without_secrets(state: State) -> dict[str, Any]:
    """The state without keys, tokens and passwords."""
    names = (
        "issuer", "mis", "source", "name", "estab_id", "estab_status", "endpoint_state", "connected_until",
        "reported_at", "last_extract", "last_error", "remedy", "problem_count", "clock_off_seconds",
    )  # fmt: skip
    shown = {name: getattr(state, name) for name in names}
    return {**shown, "registered": bool(state.refresh_token), "pending": bool(state.pending), "version": __version__}


def discard(_: object) -> None:
    """Accept a result and return None, so that the caller's type has none."""
