"""The forms of signing in. What is wrong is said in sentences; passwords are never sent back."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms import Form, PasswordField, StringField
from wtforms.validators import InputRequired, Length, StopValidation

LONGEST_NAME = 320


def plain_text(_form: Form, field: Any) -> None:
    """Refuse what no keyboard types, before it reaches a query or a hash."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in field.data or ""):
        raise StopValidation("This holds a character that cannot be typed. Please type it again.")


class SignIn(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """Name and password."""

    username = StringField(
        "Estab ID or e-mail address",
        [
            InputRequired("Type your Estab ID or your e-mail address."),
            Length(max=LONGEST_NAME, message="That is longer than any e-mail address. Please check it."),
            plain_text,
        ],
    )
    password = PasswordField("Password", [InputRequired("Type your password.")])


class OperatorSignIn(FlaskForm):  # type: ignore[misc]
    """Address, password and code, always all three."""

    email = StringField("E-mail address", [InputRequired("Type your e-mail address."), Length(max=320), plain_text])
    password = PasswordField("Password", [InputRequired("Type your password.")])
    code = StringField("Code from your authenticator app", [InputRequired("Type the six digits your app shows.")])


class OperatorSetUp(FlaskForm):  # type: ignore[misc]
    """An operator's own password, and a code that shows the app is set up."""

    password = PasswordField("Choose a password", [InputRequired("Choose a password.")])
    code = StringField("Code from your authenticator app", [InputRequired("Type the six digits your app shows.")])


class OwnPassword(FlaskForm):  # type: ignore[misc]
    """A password somebody chose."""

    password = PasswordField("Choose a password", [InputRequired("Choose a password, or let us make one for you.")])


class MobileCode(FlaskForm):  # type: ignore[misc]
    """The code of a text message."""

    code = StringField("Code", [InputRequired("Type the six digits of our message.")])
