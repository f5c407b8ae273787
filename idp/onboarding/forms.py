"""The forms of registration. Each error says what to do."""

from wtforms import BooleanField, EmailField, PasswordField, StringField, TelField
from wtforms.validators import InputRequired, ValidationError

from idp.foundation.web.contact_fields import (
    EmailForm,
    email_address,
    mobile_number,
    one_line,
    parse_email,
    parse_mobile,
    person_name,
)
from idp.foundation.web.forms import Form
from idp.onboarding.signup import Details


def is_declared(_form: Form, field: BooleanField) -> None:
    """The declaration must be ticked."""
    if not field.data:
        raise ValidationError("Tick the box to confirm that you are allowed to authorise sharing for this school")


class DetailsForm(EmailForm):
    """The registration form, before the address is verified."""

    name = StringField("Your name", filters=[one_line], validators=[person_name])
    email = EmailField("Your work e-mail address", validators=[email_address])
    mobile = TelField("Your mobile number", validators=[mobile_number])
    declaration = BooleanField(
        "I work for this school, and I am allowed to authorise sharing its data", validators=[is_declared]
    )

    def details(self) -> Details:
        """The cleaned values."""
        return self.details_with(parse_email(self.email.data))

    def details_with(self, email: str) -> Details:
        """The cleaned values, with an address that is verified already."""
        return Details(name=str(self.name.data), email=email, mobile=parse_mobile(self.mobile.data))


class SignUpForm(DetailsForm):
    """The same form after verification, without the address, which can no longer change."""

    email = confirmed_email = None


class AddSchoolForm(Form):
    """A further school for a person who is signed in: all else is known."""

    declaration = BooleanField(
        "I work for this school, and I am allowed to authorise sharing its data", validators=[is_declared]
    )


class CorrectedEmailForm(EmailForm):
    """A corrected e-mail address."""

    email = EmailField("The right e-mail address", validators=[email_address])

    def address(self) -> str:
        """The address in its normalised form."""
        return parse_email(self.email.data)


class HandoverCodeForm(Form):
    """The code that the other browser shows."""

    code = StringField("Six-digit code", filters=[one_line], validators=[InputRequired("Enter the six-digit code")])


class OwnPasswordForm(Form):
    """A password that the owner chooses in place of the generated one."""

    password = PasswordField("Your own password")
