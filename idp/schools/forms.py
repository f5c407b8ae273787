"""The search for one's school, as a form: one box, or three labelled fields, then a choice among what was found.

All of it is asked by GET, so that every page of it can be reloaded, bookmarked and gone back to.
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
from idp.schools.reading import Kind
from idp.schools.search import Answer

NUMBERS: Final = frozenset[Kind]({"dfe_number", "urn", "ukprn"})
"""Each field for a number takes any of them: which it is can be told from its length."""

LABELLED: Final[Mapping[str, tuple[frozenset[Kind], str]]] = {
    "urn": (NUMBERS, "A URN has five or six digits."),
    "dfe_number": (NUMBERS, "A DfE number has seven digits, like 312/4567."),
    "postcode": (frozenset({"postcode"}), "Type a postcode, like SW1P 4AU, or the beginning of one."),
}
"""What each labelled field is for, and what is said where something else was typed."""


class FindSchool(Form):
    """What the page of step 1 was asked; `answer` is what was found, once `look` has been called."""

    class Meta:
        """Asking twice does no harm, so there is nothing to protect from forgery."""

        csrf = False

    q = StringField("Your school’s name, postcode, DfE number or URN")
    postcode = StringField("School postcode")
    dfe_number = StringField("DfE number")
    urn = StringField("School URN")
    show = IntegerField()
    school = IntegerField()
    choose = StringField()
    """Present when "Next" was pressed."""

    answer: Answer | None = None
    dated: date | None = None
    """The day of the register that is searched."""

    @classmethod
    def asked(cls) -> Self:
        """The form as this request asks it, with its answer."""
        form = cls(formdata=request.args)
        form.dated = search.dated()
        form.look()
        return form

    def look(self) -> None:
        """Search for what was filled in; say so where there was too little."""
        boxes = (self.q, self.urn, self.dfe_number, self.postcode)
        sent = [box for box in boxes if box.name in request.args]
        filled = [box for box in sent if (box.data or "").strip()]
        if self.q in filled:
            self.answer = search.find(self.q.data or "", show=self._most)
            if self.answer.reading is None:
                self._wrong(self.q, "Type at least two letters or digits.")
        elif filled:
            self._look_for_all(filled)
        elif sent:
            self._wrong(sent[0], "Type your school’s name, postcode, DfE number or URN.")

    def _look_for_all(self, filled: list[StringField]) -> None:
        """The schools that all labelled fields agree on; where one is wrong, say which, and go by the others."""
        for box in filled:
            kinds, shape = LABELLED[box.name]
            answer = search.find(box.data or "", show=search.MOST if len(filled) > 1 else self._most, kinds=kinds)
            if answer.reading is None:
                self._wrong(box, shape)
            elif not answer.results and len(filled) > 1:
                self._wrong(box, f"No school in the register has {answer.reading.says}. Check it, or leave it out.")
            elif self.answer is None:
                self.answer = answer
            elif both := [one for one in self.answer.results if one in answer.results]:
                self.answer = replace(self.answer, results=tuple(both), more=False)
            else:
                self._wrong(box, "This belongs to another school than the one below. Check both.")

    @property
    def _most(self) -> int:
        return self.show.data or search.PAGE

    @property
    def selected(self) -> int | None:
        """The school whose radio button is on: the one that was selected, or the only one there is."""
        if self.school.data or self.answer is None or len(self.answer.choices) != 1 or self.answer.more:
            return int(self.school.data) if self.school.data else None
        return next(iter(self.answer.choices))

    def again(self, **differs: int) -> str:
        """What was asked, as a query string, for a link to the same page that differs a little."""
        asked = {name: value for name, value in request.args.items() if name not in {"choose", *differs}}
        return urlencode(asked | differs)

    def chosen(self) -> School | None:
        """The school to go on with: pressed "Next" with one that can register selected. Otherwise None, and why."""
        if not self.choose.data:
            return None
        if self.school.data is None:
            self._wrong(self.school, "Select your school from the list.")
            return None
        school = search.school(self.school.data)
        if why := status.why_not(school):
            self._wrong(self.school, why)
            return None
        return school

    @staticmethod
    def _wrong(field: StringField, why: str) -> None:
        field.errors = [*field.errors, why]
