"""CSV files that people open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

FORMULA_STARTS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""With these a spreadsheet takes a cell for a formula; the last four are full-width."""


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """The rows below a header, as CSV (RFC 4180). An apostrophe before a text keeps it from being run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()


def _escape_formula(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
