"""The forms of signing in. Errors are sentences; passwords are never sent back."""

from typing import Any

from wtforms import BooleanField, HiddenField, PasswordField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, StopValidation

from idp.foundation.web.contact_fields import parse_email
from idp.foundation.web.forms import Form, visible

MAX_NAME_LENGTH = 320
MAX_PASSKEY_NAME_LENGTH = 60


def plain_text(_form: Form, field: Any) -> None:
    """Refuse control characters before they reach a query or a hash."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in field.data or ""):
        raise StopValidation("There is a character in this that we cannot accept. Please type it again.")


class SignInForm(Form):
    """The name of the account, and its password."""

    username = StringField(
        "Estab ID or e-mail address",
        [
            InputRequired("Type your Estab ID or your e-mail address."),
            Length(max=MAX_NAME_LENGTH, message="That is longer than any e-mail address. Please check it."),
            plain_text,
        ],
        filters=[visible],
    )
    password = PasswordField("Password", [InputRequired("Type your password.")])


class SecondStepForm(Form):
    """A code of an authenticator app, to complete a sign-in."""

    wrong = "That is not the code that we expect now. Please type the one your app shows at this moment."
    code = StringField(
        "Code from your authenticator app", [DataRequired("Type the six digits your app shows.")], [visible]
    )


class RecoveryCodeForm(Form):
    """A recovery code, typed instead of a second factor."""

    wrong = "That is not one of your recovery codes, or it has been used before. Each works once. Please check it."
    code = StringField(
        "Recovery code",
        [DataRequired("Type one of your recovery codes."), Length(max=100, message="That is longer than a code.")],
        [visible],
    )


class CodeAccountSignInForm(Form):
    """E-mail address, password and code of operators and of partners' people, always all three."""

    email = StringField(
        "E-mail address",
        [InputRequired("Type your e-mail address."), Length(max=320), plain_text],
        filters=[visible],
    )
    password = PasswordField("Password", [InputRequired("Type your password.")])
    code = StringField(
        "Code from your authenticator app", [InputRequired("Type the six digits your app shows.")], [visible]
    )


class ChangePasswordForm(Form):
    """The current password, and another one."""

    current_password = PasswordField("Current password", [InputRequired("Type your current password.")])
    password = PasswordField("New password", [InputRequired("Choose a new password.")])


class CodeAccountSetUpForm(Form):
    """The own password of an operator or of a partner's person, and a code that proves the app is set up.

    `kept` is the sealed hash of an accepted password, so that only a wrong code has to be typed again.
    """

    password = PasswordField("Choose a password")
    sealed_password = HiddenField()
    code = StringField(
        "Code from your authenticator app", [InputRequired("Type the six digits your app shows.")], [visible]
    )


class OwnPasswordForm(Form):
    """A chosen password."""

    password = PasswordField("Choose a password", [InputRequired("Choose a password, or let us create one for you.")])


class MobileCodeForm(Form):
    """The code of a text message."""

    code = StringField("Code", [InputRequired("Type the six digits from our message.")], [visible])


class ResetNameForm(Form):
    """The name of the account whose password is forgotten."""

    username = StringField(
        "Estab ID, username or e-mail address",
        [
            InputRequired("Type your Estab ID, your username or your e-mail address."),
            Length(max=MAX_NAME_LENGTH, message="That is longer than any e-mail address. Please check it."),
            plain_text,
        ],
        filters=[visible],
    )


class ResetCodeForm(Form):
    """The code that was texted to the confirmed number."""

    code = StringField("Code", [InputRequired("Type the six digits from our message."), plain_text], [visible])


class NewPasswordForm(Form):
    """A password in place of the old one."""

    password = PasswordField("New password", [InputRequired("Choose a new password.")])


class PasskeyNameForm(Form):
    """What a person calls a passkey. A new one may be left without a name: it is called after its device."""

    name = StringField(
        "Name",
        [
            Length(max=MAX_PASSKEY_NAME_LENGTH, message=f"Please use at most {MAX_PASSKEY_NAME_LENGTH} characters."),
            plain_text,
        ],
        filters=[visible],
    )


class DeveloperInvitationForm(Form):
    """A person of a partner who is to look after its applications."""

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
        """An address that mail can be sent to."""
        field.data = parse_email(field.data, whose="their")
