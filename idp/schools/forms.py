"""The form for finding a school: one search box or three labelled fields, then a choice from the results.

It is sent by GET, so that each page can be reloaded, bookmarked and reached with the back button.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final, Self
from urllib.parse import urlencode

from flask import request
from wtforms import IntegerField, StringField

from idp.foundation.web.forms import Form
from idp.schools import search, status
from idp.schools.models import School
from idp.schools.query_parser import QueryKind
from idp.schools.search import SearchResult

NUMBER_KINDS: Final = frozenset[QueryKind]({"dfe_number", "urn", "ukprn"})
"""Each field for a number accepts any of them, because their lengths differ."""

FIELD_KINDS: Final[Mapping[str, tuple[frozenset[QueryKind], str]]] = {
    "urn": (NUMBER_KINDS, "A URN has five or six digits."),
    "dfe_number": (NUMBER_KINDS, "A DfE number has seven digits, like 312/4567."),
    "postcode": (frozenset({"postcode"}), "Type a postcode, like SW1P 4AU, or the beginning of one."),
}
"""The kinds that each labelled field accepts, and its error message for anything else."""


class FindSchool(Form):
    """The search of step 1; `result` is set by `run_search`."""

    class Meta:
        """A search changes nothing, so it needs no CSRF token."""

        csrf = False

    q = StringField("Your school's name, postcode, DfE number or URN")
    postcode = StringField("School postcode")
    dfe_number = StringField("DfE number")
    urn = StringField("School URN")
    show = IntegerField()
    school = IntegerField()
    choose = StringField()
    """Not empty if "Next" was pressed."""

    result: SearchResult | None = None
    dated: date | None = None
    """The day of the register that is searched."""

    @classmethod
    def from_request(cls) -> Self:
        """The form of this request, with its result."""
        form = cls(formdata=request.args)
        form.dated = search.register_date()
        form.run_search()
        return form

    def run_search(self) -> None:
        """Search for the values of the form; add an error if there are too few."""
        boxes = (self.q, self.urn, self.dfe_number, self.postcode)
        submitted = [box for box in boxes if box.name in request.args]
        filled = [box for box in submitted if (box.data or "").strip()]
        if self.q in filled:
            self.result = search.find(self.q.data or "", show=self._limit)
            if self.result.reading is None:
                self._add_error(self.q, "Type at least two letters or digits.")
        elif filled:
            self._search_all_fields(filled)
        elif submitted:
            self._add_error(submitted[0], "Type your school's name, postcode, DfE number or URN.")

    def _search_all_fields(self, filled: list[StringField]) -> None:
        """Search for schools that match all labelled fields; a field that is wrong gets an error and is left out."""
        for box in filled:
            kinds, message = FIELD_KINDS[box.name]
            result = search.find(
                box.data or "", show=search.MAX_RESULTS if len(filled) > 1 else self._limit, kinds=kinds
            )
            if result.reading is None:
                self._add_error(box, message)
            elif not result.results and len(filled) > 1:
                self._add_error(
                    box, f"No school in the register has {result.reading.description}. Check it, or leave it out."
                )
            elif self.result is None:
                self.result = result
            elif common := [school for school in self.result.results if school in result.results]:
                self.result = replace(self.result, results=tuple(common), more=False)
            else:
                self._add_error(box, "This belongs to a different school from the one below. Check both.")

    @property
    def _limit(self) -> int:
        return self.show.data or search.PAGE_SIZE

    @property
    def selected(self) -> int | None:
        """The id of the selected school: the one that was chosen, or the only result."""
        if self.school.data or self.result is None or len(self.result.choices) != 1 or self.result.more:
            return int(self.school.data) if self.school.data else None
        return next(iter(self.result.choices))

    def query_string(self, **changes: int) -> str:
        """The query string of this search with `changes`, for a link."""
        parameters = {name: value for name, value in request.args.items() if name not in {"choose", *changes}}
        return urlencode(parameters | changes)

    def chosen_school(self) -> School | None:
        """The school chosen with "Next", if it can register; otherwise None, with an error in the form."""
        if not self.choose.data:
            return None
        if self.school.data is None:
            self._add_error(self.school, "Select your school from the list.")
            return None
        school = search.school(self.school.data)
        if reason := status.reason_not_to_register(school):
            self._add_error(self.school, reason)
            return None
        return school

    @staticmethod
    def _add_error(field: StringField, message: str) -> None:
        field.errors = [*field.errors, message]
