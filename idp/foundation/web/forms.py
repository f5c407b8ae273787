"""What every form of ours is made from: the fields that a page sent, as text, now or before its sender signed in."""

import unicodedata
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from flask_wtf.form import SUBMIT_METHODS, _Auto

from idp.foundation.web import form_drafts


def visible(text: str | None) -> str:
    """What was typed without blanks at its ends, and without what has no width: copying brings that along unseen.

    For what never has any: addresses, numbers, user names, codes.
    """
    return "".join(char for char in text or "" if unicodedata.category(char) != "Cf").strip()


class Form(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Flask-WTF's, reading nothing but a posted form.

    Left to itself it reads JSON for want of a form, and files among the fields: then what a field holds is whatever a
    stranger likes, and no text.
    """

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # likewise
        """How the form is read."""

        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            """The fields given, or those posted; on the form's page, those that came too late (`again`)."""
            if formdata is not _Auto:
                return formdata
            return (request.form or None) if request.method in SUBMIT_METHODS else form_drafts.saved_fields()
