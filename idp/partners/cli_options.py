"""Options shared by this package's commands: durations such as `7d`, and secrets written to a file."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}

secret_file_option = click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the secret to this file, readable by you alone, instead of printing it.",
)


def duration(text: str, option: str) -> timedelta:
    """`30m`, `12h`, `7d` as a duration; raises `click.BadParameter` for `option` otherwise."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isdecimal() or len(number) > 4:
        raise click.BadParameter("a number and m, h or d, such as 12h", param_hint=option)
    return timedelta(**{UNITS[unit]: int(number)})


def write_secret(file: Path, secret: str) -> None:
    """Write `secret` to a file that is created readable by this user only."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(secret + "\n")
