"""CSV files for spreadsheets."""

import csv
import io

import pytest

from idp.foundation.spreadsheets import to_csv

FORMULAS = [
    "=1+1", "+44", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1+1", "\uff1d1+1", "\uff0b44", "\uff0d1", "\uff20SUM(1)",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_a_text_that_is_a_formula_to_a_spreadsheet_begins_with_an_apostrophe(text):
    assert read(to_csv(["Name"], [[text]])) == [["Name"], [f"'{text}"]]


@pytest.mark.parametrize("cell", ["St Mary's", 'The "Oak" School', "one, two", "a\nb", " =1", "", 7, -7], ids=repr)
def test_any_other_cell_is_written_as_it_is(cell):
    assert read(to_csv(["Name", "Other"], [[cell, "last"]])) == [["Name", "Other"], [str(cell), "last"]]


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))
