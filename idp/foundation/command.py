"""What every command of `idp` shares: the application around it, refusals as messages, tables, JSON.

Exit codes: 0 done, 1 refused, 2 wrong usage or bad settings.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
from flask import Flask

from idp.foundation.errors import Refusal
from idp.foundation.settings import BadSettings
from idp.foundation.web.transactions import work

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class Refused(click.ClickException):
    """A refusal, said on standard error."""

    exit_code = 1


class Misconfigured(click.ClickException):
    """The settings do not let the application start."""

    exit_code = 2


def application(context: click.Context) -> Flask:
    """The application, built when a command first needs it; `--help` does without."""
    try:
        app: Flask = context.find_root().obj()
    except BadSettings as bad:
        raise Misconfigured(str(bad)) from bad
    return app


def working(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command in one transaction of the application; a `Refusal` is told and undone."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with work(application(click.get_current_context())):
                return command(*args, **kwargs)
        except Refusal as refusal:
            raise Refused(refusal.says + (f" ({refusal.because})" if refusal.because else "")) from refusal

    return run


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print rows as JSON or as a table of `columns`; `empty` is said where there are none."""
    found = list(rows)
    if as_json:
        show_json(found)
    elif not found:
        click.echo(empty)
    else:
        cells = [[_plain(row.get(name)) for name in columns] for row in found]
        titles = [name.replace("_", " ") for name in columns]
        widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
        for line in (titles, *cells):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_json(value: object) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=_for_programs)
    sys.stdout.write("\n")


def _for_programs(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return " ".join(sorted(map(str, value)))
    return "yes" if value is True else "no" if value is False else str(value)
