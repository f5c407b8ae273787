"""The form with which a quick start is filled in."""

from wtforms import StringField
from wtforms.validators import Length, Optional

from idp.foundation.web.forms import Form, visible


class FillIn(Form):
    """A client id and an address. It is sent by GET and changes nothing."""

    client_id = StringField(
        "Client id", [Optional(), Length(max=255, message="That is longer than any id.")], [visible]
    )
    address = StringField(
        "Address of your application", [Optional(), Length(max=300, message="That is too long.")], [visible]
    )
