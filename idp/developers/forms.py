"""The forms of developers: what is filled into a quick start, addresses of an application, and an invitation."""

import re
from typing import Final

from email_validator import EmailNotValidError, validate_email
from wtforms import BooleanField, IntegerField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from idp.foundation.web.forms import Form, visible
from idp.partners.models import Client
from idp.signin.forms import plain_text

MAX_TEXT: Final = 50 * 2050
"""Characters of a list of addresses: as many as may be registered, as long as they may be."""
_INDEX: Final = re.compile(r"\[([0-9]+)\]")


class FillIn(Form):
    """A client id and an address. It is sent by GET and changes nothing."""

    client_id = StringField(
        "Client id", [Optional(), Length(max=255, message="That is longer than any id.")], [visible]
    )
    address = StringField(
        "Address of your application", [Optional(), Length(max=300, message="That is too long.")], [visible]
    )


class Addresses(Form):
    """The addresses that people are sent to, one on each line."""

    version = IntegerField("Version", [InputRequired()], widget=HiddenInput())
    redirect_uris = TextAreaField("Redirect URIs", [Length(max=MAX_TEXT, message="That is too long.")])
    post_logout_redirect_uris = TextAreaField(
        "Addresses after signing out", [Length(max=MAX_TEXT, message="That is too long.")]
    )

    def show(self, client: Client) -> None:
        """Fill in what is registered."""
        self.version.data = client.version
        self.redirect_uris.data = "\n".join(client.redirect_uris)
        self.post_logout_redirect_uris.data = "\n".join(client.post_logout_redirect_uris)

    @staticmethod
    def lines(field: TextAreaField) -> list[str]:
        """The addresses in a field."""
        return [visible(line) for line in (field.data or "").splitlines() if visible(line)]

    def refuse(self, faults: list[tuple[str, str]]) -> None:
        """Put each fault beside its field; `[0]` in a reason is the first line."""
        for name, reason in faults:
            field = self._fields.get(name.partition("[")[0])
            words = _INDEX.sub(lambda match: f"Line {int(match[1]) + 1}", reason)
            (self.form_errors if field is None else field.errors).append(f"{words[0].upper()}{words[1:]}.")


class Invitation(Form):
    """A colleague who looks after the company's applications."""

    name = StringField(
        "Name", [InputRequired("Type their name."), Length(max=100, message="That is too long."), plain_text],
        [lambda text: " ".join((text or "").split())],
    )  # fmt: skip
    email = StringField(
        "E-mail address",
        [InputRequired("Type their address."), Length(max=254, message="That is too long."), plain_text],
        [visible],
    )  # fmt: skip
    is_owner = BooleanField("May invite and remove others")

    def validate_email(self, field: StringField) -> None:
        """An address in its usual form."""
        try:
            field.data = validate_email(field.data, check_deliverability=False).normalized
        except EmailNotValidError:
            raise ValidationError("That is not an e-mail address. Please check it.") from None
