"""The forms of signing in. What is wrong is said in sentences; passwords are never sent back."""

from typing import Any

from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, StopValidation

from idp.foundation.web.forms import Form, visible

LONGEST_NAME = 320


def plain_text(_form: Form, field: Any) -> None:
    """Refuse what no keyboard types, before it reaches a query or a hash."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in field.data or ""):
        raise StopValidation("There is a character in this that we cannot accept. Please type it again.")


class SignIn(Form):
    """Name and password."""

    username = StringField(
        "Estab ID or e-mail address",
        [
            InputRequired("Type your Estab ID or your e-mail address."),
            Length(max=LONGEST_NAME, message="That is longer than any e-mail address. Please check it."),
            plain_text,
        ],
        filters=[visible],
    )
    password = PasswordField("Password", [InputRequired("Type your password.")])


class OperatorSignIn(Form):
    """Address, password and code, always all three."""

    email = StringField(
        "E-mail address",
        [InputRequired("Type your e-mail address."), Length(max=320), plain_text],
        filters=[visible],
    )
    password = PasswordField("Password", [InputRequired("Type your password.")])
    code = StringField(
        "Code from your authenticator app", [InputRequired("Type the six digits your app shows.")], [visible]
    )


class OperatorSetUp(Form):
    """An operator's own password, and a code that shows the app is set up.

    `kept` is the sealed hash of a password that was good when the code was wrong: it need not be typed again.
    """

    password = PasswordField("Choose a password")
    kept = HiddenField()
    code = StringField(
        "Code from your authenticator app", [InputRequired("Type the six digits your app shows.")], [visible]
    )


class OwnPassword(Form):
    """A chosen password."""

    password = PasswordField("Choose a password", [InputRequired("Choose a password, or let us make one for you.")])


class MobileCode(Form):
    """The code of a text message."""

    code = StringField("Code", [InputRequired("Type the six digits of our message.")], [visible])
