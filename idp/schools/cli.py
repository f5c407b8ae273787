"""`idp schools`: refresh the register, search it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from idp.foundation.command import in_transaction, json_option, progress, show, show_json
from idp.schools import download, files, refresh, search
from idp.schools.refresh import ReportProgress, Summary

ROWS_PER_LINE = 10_000
"""Rows between two lines of progress."""
COLUMNS = ("urn", "dfe_number", "name", "town", "postcode", "phase", "status")


@click.group("schools")
def commands() -> None:
    """Refresh and search the national register of schools.

    The register is "Get Information about Schools" (GIAS, once EduBase), kept by the Department for Education and
    published daily under the Open Government Licence v3.0. Refresh it every day, by cron or the like.
    """


@commands.command("refresh")
@click.option(
    "--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Import this CSV or zip file."
)
@click.option("--download", "is_download", is_flag=True, help="Fetch today's file, or the newest of three days before.")
@click.option("--url", help="With --download: fetch exactly this file.")
@click.option(
    "--links", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Import this links file as well."
)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--accept-shrink", is_flag=True, help="Import a file that lacks more than 2 % of our open schools.")
@json_option
@in_transaction
def refresh_command(
    file: Path | None,
    url: str | None,
    links: Path | None,
    *,
    is_download: bool,
    dry_run: bool,
    accept_shrink: bool,
    as_json: bool,
) -> None:
    """Bring our schools up to date with the register.

    Give a file with --from (a CSV file, or a zip with edubasealldata….csv and its links file), or let
    --download fetch it. Nothing is changed when the file is refused, and the same file again changes nothing.
    A school that the file has no longer is kept and marked, never deleted.

    \b
      idp schools refresh --download
      idp schools refresh --from edubasealldata20240404.zip --dry-run
      idp schools refresh --from config/sample-register.csv --links config/sample-register-links.csv
    """  # noqa: D301  \b is click's sign for "leave these lines as they are"
    if (file is None) != is_download or (url and not is_download):
        raise click.UsageError("Give either --from FILE, or --download, with --url if you like.")
    with (
        _source_files(file, links, url) as (register, links_file),
        files.open_sources(register, links_file) as sources,
        _progress_reporter() as report_progress,
    ):
        summary = refresh.run(sources, dry_run=dry_run, accept_shrink=accept_shrink, progress=report_progress)
    if as_json:
        show_json(asdict(summary) | {"oddities": [str(oddity) for oddity in summary.oddities]})
    else:
        _print_summary(summary)


@contextmanager
def _source_files(file: Path | None, links: Path | None, url: str | None) -> Iterator[tuple[Path, Path | None]]:
    """The register file and its links file, from disk or downloaded."""
    if file:
        yield file, links
        return
    with download.from_url(url) if url else download.newest() as downloaded:
        progress(f"Fetched {downloaded.url}")
        yield downloaded.register, links or downloaded.links


@contextmanager
def _progress_reporter() -> Iterator[ReportProgress]:
    """Report progress: a bar on a terminal, otherwise a line for every `ROWS_PER_LINE` rows."""
    if sys.stderr.isatty():
        with click.progressbar(length=1000, label="Importing", file=sys.stderr) as bar:
            yield lambda _rows, share: bar.update(int(share * 1000) - bar.pos)
    else:
        lines_printed = 0

        def print_progress(rows: int, share: float) -> None:
            nonlocal lines_printed
            if rows // ROWS_PER_LINE > lines_printed:
                lines_printed = rows // ROWS_PER_LINE
                progress(f"{rows:,} rows read, {share:.0%} of the file")

        yield print_progress


def _print_summary(summary: Summary) -> None:
    for oddity in summary.oddities:
        progress(str(oddity))
    unlisted = summary.unknown_codes + summary.repairs - len(summary.oddities)
    if unlisted > 0:
        progress(f"… and {unlisted:,} more.")
    date_suffix = f" of {summary.dated:%Y-%m-%d}" if summary.dated else ""
    click.echo(
        f"{'Would import' if summary.dry_run else 'Imported'} {summary.source}{date_suffix} in {summary.seconds:.1f} s:"
    )
    for label, count in (
        ("read", summary.rows), ("added", summary.added), ("changed", summary.changed), ("closed", summary.closed),
        ("reopened", summary.reopened), ("left the register", summary.left), ("came back", summary.returned),
        ("links", summary.links), ("unknown codes", summary.unknown_codes), ("repairs", summary.repairs),
    ):  # fmt: skip
        if count is not None:
            click.echo(f"  {label:<18}{count:>8,}")
    if summary.dry_run:
        click.echo("This was a dry run: nothing was changed.")


@commands.command("search")
@click.argument("text", nargs=-1, required=True)
@click.option(
    "--show", "max_rows", type=click.IntRange(1, search.MAX_RESULTS), default=search.PAGE_SIZE, help="Results at most."
)
@json_option
@in_transaction
def search_command(text: tuple[str, ...], max_rows: int, *, as_json: bool) -> None:
    """Find schools as the registration page finds them.

    TEXT is a DfE number (3124567 or 312/4567), a URN, a UKPRN, a postcode or its beginning, or words of the
    school's name and town.

    \b
      idp schools search st josephs leeds
      idp schools search 312/4567 --json
    """  # noqa: D301
    result = search.find(" ".join(text), show=max_rows)
    rows = [_row(match) for match in result.results]
    if not as_json:
        for original, replacement in result.repaired:
            click.echo(f'No school has "{original}"; searched for "{replacement}".', err=True)
        for word in result.dropped:
            click.echo(f'Left out "{word}".', err=True)
    description = result.reading.description if result.reading else "too little to search for"
    show(rows, COLUMNS, as_json=as_json, empty=f"No school found for {description}.")
    if result.more and not as_json:
        click.echo(f"There are more than {max_rows}; add a word, or --show more.", err=True)


def _row(match: search.FoundSchool) -> dict[str, Any]:
    school = match.school
    return {
        "id": school.id,
        "urn": school.urn,
        "dfe_number": school.dfe_number_shown,
        "name": school.name,
        "town": school.town,
        "postcode": school.postcode,
        "phase": match.phase,
        "status": match.status,
        "successors": [step.school.urn if step.school else step.name for step in match.successors],
    }
