"""The forms of developers: what is filled into a quick start, URIs and keys of an application."""

import json
import re
from typing import Any, Final

from wtforms import BooleanField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from idp.developers import quick_starts
from idp.foundation.web.forms import Form, visible
from idp.partners import jwks
from idp.partners.models import Client
from idp.schools import fictional
from idp.signin.forms import plain_text

MAX_URIS_LENGTH: Final = 50 * 2050
"""Characters of a list of URIs: as many as may be registered, as long as they may be."""
MAX_KEY_SET_LENGTH: Final = 50_000
"""Characters of a key set."""
SECURITY: Final = {
    "": "As in the software's quick start",
    "private_key_jwt": "With a key instead of a secret (private_key_jwt)",
    "fapi2": "With a key, pushed requests and tokens bound to a key (the profile fapi2: PAR, DPoP)",
}
"""What a sandbox application may choose instead of what suits its software."""
_INDEX: Final = re.compile(r"\[([0-9]+)\]")


class FillInForm(Form):
    """A client id and a URL to fill in. The form is sent by GET and changes nothing."""

    client_id = StringField(
        "Client id", [Optional(), Length(max=255, message="That is longer than any id.")], [visible]
    )
    address = StringField(
        "URL of your application", [Optional(), Length(max=300, message="That is too long.")], [visible]
    )


class FailedRequestsForm(Form):
    """What to search the log of failed requests for. It is sent by GET and changes nothing."""

    reference = StringField("Reference", [Optional(), Length(max=64, message="That is not a reference.")], [visible])


class RegistrationForm(Form):
    """A form about part of an application's registration, as it was at `version`."""

    version = IntegerField("Version", [InputRequired()], widget=HiddenInput())

    def refuse(self, field_errors: list[tuple[str, str]]) -> None:
        """Put each error next to its field; `[0]` in a reason is the first line."""
        for name, reason in field_errors:
            field = self._fields.get(name.partition("[")[0])
            message = _INDEX.sub(lambda match: f"Line {int(match[1]) + 1}", reason)
            text = f"{message[0].upper()}{message[1:]}."
            if field is None:
                self.form_errors.append(f"{name}: {reason}.")
            else:
                field.errors = [*field.errors, text]


class UrisForm(RegistrationForm):
    """The URIs that people are sent to, one on each line."""

    redirect_uris = TextAreaField("Redirect URIs", [Length(max=MAX_URIS_LENGTH, message="That is too long.")])
    post_logout_redirect_uris = TextAreaField(
        "URIs after signing out", [Length(max=MAX_URIS_LENGTH, message="That is too long.")]
    )

    def show(self, client: Client) -> None:
        """Fill in what is registered."""
        self.version.data = client.version
        self.redirect_uris.data = "\n".join(client.redirect_uris)
        self.post_logout_redirect_uris.data = "\n".join(client.post_logout_redirect_uris)

    @staticmethod
    def lines(field: TextAreaField) -> list[str]:
        """The URIs in a field."""
        return [visible(line) for line in (field.data or "").splitlines() if visible(line)]


def _check_key_set(field: TextAreaField) -> None:
    """Refuse what is not a key set, or has a private key, which is not shown again. Raises `ValidationError`."""
    try:
        document = jwks.parse(field.data or "")
    except ValueError as error:
        raise ValidationError(str(error)) from None
    if document is not None and jwks.has_private_key(document):
        field.data = ""
        raise ValidationError(
            "There is a private key in this, which we must never see. Do not use that key any more: make a new "
            "pair, keep its private half, and paste its public half here."
        )


class KeysForm(RegistrationForm):
    """Public keys: a key set, or the URL of one."""

    jwks_uri = StringField("URL of your keys", [Length(max=2048, message="That is too long.")], [visible])
    jwks = TextAreaField("Public keys", [Length(max=MAX_KEY_SET_LENGTH, message="That is too long.")])

    def show(self, client: Client) -> None:
        """Fill in what is registered."""
        self.version.data, self.jwks_uri.data = client.version, client.jwks_uri
        self.jwks.data = json.dumps(client.jwks, indent=2) if client.jwks else ""

    def key_set(self) -> dict[str, Any] | None:
        """The key set; a single key is put into one. Raises `ValueError` if the text is not a JSON object."""
        return jwks.parse(self.jwks.data or "")

    def validate_jwks(self, field: TextAreaField) -> None:
        """A key set; its keys are checked with the registration. A private key is not shown again."""
        _check_key_set(field)

    def validate_jwks_uri(self, field: StringField) -> None:
        """Either a URL or keys are given, not both."""
        has_keys = bool((self.jwks.data or "").strip())
        if bool(field.data) == has_keys:
            raise ValidationError("Give the URL of your keys or paste them below: one of the two, and not both.")


class SandboxApplicationForm(Form):
    """The form for a new sandbox application."""

    name = StringField(
        "Name", [InputRequired("Type a name."), Length(max=80, message="That is too long."), plain_text],
        [lambda text: " ".join((text or "").split())],
    )  # fmt: skip
    software = SelectField("Software", [InputRequired("Choose the software that it uses.")])
    address = StringField(
        "URL of your application", [Length(max=300, message="That is too long.")], [visible],
        default=quick_starts.ADDRESS,
    )  # fmt: skip
    security = SelectField(
        "How it proves who it is", choices=[SelectChoice(*choice) for choice in SECURITY.items()], default=""
    )
    jwks = TextAreaField("Public keys", [Length(max=MAX_KEY_SET_LENGTH, message="That is too long.")])

    def key_set(self) -> dict[str, Any] | None:
        """As `KeysForm.key_set`."""
        return jwks.parse(self.jwks.data or "")

    def validate_jwks(self, field: TextAreaField) -> None:
        """A key set where it signs, and nothing where it does not. A private key is not shown again."""
        _check_key_set(field)
        software = quick_starts.catalogue().get(self.software.data or "")
        signs = bool(self.security.data) or (software is not None and software.has_key)
        if signs and not (field.data or "").strip():
            raise ValidationError("It signs with a key. Paste the public half of its key here.")
        if not signs and (field.data or "").strip():
            raise ValidationError("This software has a secret. Leave this empty, or choose a key above.")


class FictionalSchoolForm(Form):
    """The form for a new fictional school."""

    kind = SelectField("Kind", choices=[SelectChoice(kind, facts[2]) for kind, facts in fictional.KINDS.items()])
    mis = SelectField("System (MIS)")
    is_verified = BooleanField("Verify it at once", default=True)
