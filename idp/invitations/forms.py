"""The form by which a person passes an invitation on."""

from wtforms import BooleanField, EmailField, StringField

from idp.foundation.web.contact_fields import EmailForm, colleagues_email, colleagues_name, one_line, parse_email
from idp.invitations.mailing import Recipient


class PassOnForm(EmailForm):
    """Who decides in place of the reader."""

    name = StringField("Their name", filters=[one_line], validators=[colleagues_name])
    email = EmailField("Their work e-mail address", validators=[colleagues_email])
    disclose = BooleanField("Tell the service who it is")

    def recipient(self) -> Recipient:
        """The cleaned values."""
        return Recipient(str(self.name.data), parse_email(self.email.data, whose="their"), is_forwarded=True)
