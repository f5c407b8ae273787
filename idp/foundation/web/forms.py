"""The base class of all forms: it reads the posted fields, or those of a saved draft (`form_drafts`)."""

import unicodedata
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from flask_wtf.form import SUBMIT_METHODS, _Auto

from idp.foundation.web import form_drafts


def visible(text: str | None) -> str:
    """`text` without spaces at its ends and without zero-width characters, which are often copied along with it.

    For addresses, numbers, user names and codes, which never contain any.
    """
    return "".join(char for char in text or "" if unicodedata.category(char) != "Cf").strip()


class Form(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's form, which reads posted form fields only.

    Flask-WTF would read a JSON body if there is no form, and files as fields: a field could then hold values of any
    type, not only text.
    """

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # likewise
        """How the form is read."""

        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            """The given fields, or those posted; on a GET those of the draft."""
            if formdata is not _Auto:
                return formdata
            return (request.form or None) if request.method in SUBMIT_METHODS else form_drafts.saved_fields()
