"""The base class of all forms: it reads the posted fields, or those of a saved draft (`form_drafts`)."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from flask import Response, make_response, request
from flask_wtf import FlaskForm
from flask_wtf.form import SUBMIT_METHODS, _Auto
from wtforms import Field, PasswordField, StringField

from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.web import form_drafts

NUL_TEXT: Final = "This has a character that cannot be stored. Please type it again."


def visible(text: str | None) -> str:
    """`text` without spaces at its ends and without zero-width characters, which are often copied along with it.

    For addresses, numbers, user names and codes, which never contain any.
    """
    return "".join(char for char in text or "" if unicodedata.category(char) != "Cf").strip()


def empty_if_invisible(text: str | None) -> str:
    """`text` as it was typed; empty if it has only spaces and zero-width characters. For notes and reasons."""
    return (text or "") if visible(text) else ""


class Form(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's form, which reads posted form fields only.

    Flask-WTF would read a JSON body if there is no form, and files as fields: a field could then hold values of any
    type, not only text.
    """

    refusal: Refusal | None = None
    """The refusal that the form shows, if any."""

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        """Also refuse texts with U+0000, which PostgreSQL cannot store; passwords are only hashed."""
        is_valid = bool(super().validate(extra_validators))
        for field in self:
            is_stored = isinstance(field, StringField) and not isinstance(field, PasswordField)
            if is_stored and not field.errors and "\0" in (field.data or ""):
                field.errors = [NUL_TEXT]
                is_valid = False
        return is_valid

    def show_refusal(self, error: Refusal, field: Field | None = None) -> None:
        """Show the message of a refusal at `field`, or above the form.

        For a refusal that must not be raised, because that would roll back the count of an attempt.
        """
        self.refusal = error
        if field is None:
            self.form_errors.append(error.message)
        else:
            field.errors = [error.message]

    def response(self, page: str) -> Response:
        """The form's page: 422 if something in it is wrong, 429 with `Retry-After` after too many requests."""
        response = make_response(page, 422 if self.errors else 200)
        if isinstance(self.refusal, TooManyRequests):
            response.status_code = self.refusal.status
            response.headers["Retry-After"] = str(self.refusal.retry_after)
        return response

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # likewise
        """How the form is read."""

        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            """The given fields, or those posted; on a GET those of the draft."""
            if formdata is not _Auto:
                return formdata
            return (request.form or None) if request.method in SUBMIT_METHODS else form_drafts.saved_fields()
