"""The form of the operators' pages for a call: what to do, and one text about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wtforms import RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, ValidationError

from idp.foundation.database import savepoint
from idp.foundation.errors import Refusal
from idp.foundation.web.forms import Form, empty_if_invisible

MAX_TEXT_LENGTH: Final = 2000
"""In characters, of a note, a question or a reason."""
NOT_OFFERED_TEXT: Final = "What you chose can no longer be done. Look at the page again, and choose what to do."


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """What a page offers to do."""

    value: str
    """The radio button's value."""
    label: str
    consequence: str
    """What it means, in a sentence or two."""
    run: Callable[[str, str], str]
    """It takes the text and the operator's id, and returns what was done. It may raise a `Refusal`."""
    missing_text: str = ""
    """What the form says if the text is empty; nothing where the text may be left out."""


class ActionForm(Form):
    """What to do, and why or after which call. There is one text, so that none is lost where another choice is made."""

    action = RadioField("What do you want to do?", validate_choice=False)
    text = TextAreaField(
        "",
        [Length(max=MAX_TEXT_LENGTH, message=f"Please use at most {MAX_TEXT_LENGTH:,} characters.")],
        [empty_if_invisible],
    )

    def __init__(self, actions: Sequence[OperatorAction], *, text_label: str) -> None:
        super().__init__()
        self._actions = {action.value: action for action in actions}
        self.action.choices = [SelectChoice(action.value, action.label) for action in actions]
        self.text.label.text = text_label

    @property
    def consequences(self) -> dict[str, str]:
        """What each action means, by its value."""
        return {value: action.consequence for value, action in self._actions.items()}

    def validate_action(self, field: RadioField) -> None:
        """One of those that the page offers has to be chosen. What it offered before may be done or over by now."""
        if field.data and field.data not in self._actions:
            raise ValidationError(NOT_OFFERED_TEXT)
        if not field.data:
            raise ValidationError("Choose what to do")

    def validate_text(self, field: TextAreaField) -> None:
        """Some actions need a text."""
        action = self._actions.get(self.action.data)
        if action is not None and action.missing_text and not field.data:
            raise ValidationError(action.missing_text)

    def run(self, by: str) -> str | None:
        """Do what was chosen; returns what was done. None if the form is not complete, or refused: then it says why."""
        if not self.validate():
            return None
        try:
            with savepoint():
                return self._actions[self.action.data].run(self.text.data or "", by)
        except Refusal as error:
            self.show_refusal(error)
            return None
