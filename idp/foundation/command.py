"""What every command of `idp` shares: the application around it, who acts, refusals as messages, tables, JSON, times.

Exit codes: 0 done, 1 refused, 2 wrong usage or bad settings.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from idp.foundation.clock import LONDON
from idp.foundation.errors import Refusal, one_line_summary

if TYPE_CHECKING:
    from flask import Flask

P = ParamSpec("P")
R = TypeVar("R")

_BETWEEN_ERRORS = re.compile(r"; (?=\[\d+\] )")
"""The separator of the errors of a list: `[0] is not https; [2] has a fragment`."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class Refused(click.ClickException):
    """A refusal, printed on standard error."""

    exit_code = 1


class Misconfigured(click.ClickException):
    """The settings do not let the application start."""

    exit_code = 2


def application(context: click.Context) -> "Flask":
    """The application, built when a command first needs it, which `--help` does not."""
    from idp.foundation.load_settings import InvalidSettings

    try:
        app: Flask = context.find_root().obj()
    except InvalidSettings as error:
        raise Misconfigured(str(error)) from error
    return app


@dataclass(frozen=True, slots=True)
class NameLookups:
    """The functions with which commands of lower layers look up names that people type; the `idp` command sets them."""

    acting_operator: Callable[[], str]
    """The id of the operator for whom the command is run, or `cli`."""
    estab: Callable[[str], str]
    """The internal id of an estab, by any of its names."""
    operator: Callable[[str], str]
    """The id of an operator, by their e-mail address."""
    addresses: Callable[[], Mapping[str, str]]
    """The e-mail address of each operator, by id."""


NAMES = "idp.names"
"""The key of `NameLookups` in click's context."""


def name_lookups() -> NameLookups | None:
    """The lookup functions; None for a group of commands that is run by itself."""
    names_in_context: NameLookups | None = click.get_current_context().find_root().meta.get(NAMES)
    return names_in_context


def acting_operator() -> str:
    """The id of the operator who runs the command, or `cli`, for the audit log."""
    lookups = name_lookups()
    return lookups.acting_operator() if lookups else "cli"


def in_transaction(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command in one transaction of the application; a `Refusal` is printed and rolled back.

    So is a database that cannot be reached, is busy for too long, or has another schema. What the command prints is
    printed after the commit: if the reader of a pipe stops reading, nothing that was announced is undone.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from sqlalchemy.exc import OperationalError, ProgrammingError

        from idp.foundation.web.transactions import transaction

        printed, early_exit = io.StringIO(), None
        try:
            with transaction(application(click.get_current_context())), redirect_stdout(printed):
                try:
                    result = command(*args, **kwargs)
                except click.exceptions.Exit as error:  # done, with an exit code of its own
                    early_exit = error
        except Refusal as error:
            raise to_click_error(error) from error
        except (OperationalError, ProgrammingError) as error:
            raise Refused(f"The database refused, and nothing was changed. {one_line_summary(error)}") from error
        click.echo(printed.getvalue(), nl=False)
        if early_exit is not None:
            raise early_exit
        return result

    return run


def to_click_error(refusal: Refusal) -> Refused:
    """The message for a refusal: one line for each error if there are several."""
    if refusal.field_errors:
        lines = [f"{name}: {part}" for name, reason in refusal.field_errors for part in _BETWEEN_ERRORS.split(reason)]
        return Refused("\n  ".join([f"{refusal.title}:", *lines]))
    return Refused(refusal.message + (f" ({refusal.reason})" if refusal.reason else ""))


def progress(text: str) -> None:
    """Print the progress of a long command on standard error; a closed pipe does not stop the command."""
    with suppress(BrokenPipeError):
        click.echo(text, err=True)


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows as JSON or as a table of `columns`; prints `empty` if there are none."""
    listed = list(rows)
    if as_json:
        show_json(listed)
    elif not listed:
        click.echo(empty)
    else:
        cells = [[_to_text(row.get(name)) for name in columns] for row in listed]
        titles = [name.replace("_", " ") for name in columns]
        widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
        for line in (titles, *cells):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_json(value: object) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_json_default)
    sys.stdout.write("\n")


def format_time(moment: datetime) -> str:
    """A moment in UTC, as in the logs, and in British time."""
    utc, local = moment.astimezone(UTC), moment.astimezone(LONDON)
    day = "" if local.date() == utc.date() else f"{local:%Y-%m-%d} "
    return f"{utc:%Y-%m-%d %H:%M} UTC ({day}{local:%H:%M} {local:%Z})"


def _json_default(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else _to_text(value)


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return " ".join(sorted(map(str, value)))
    return "yes" if value is True else "no" if value is False else str(value)
