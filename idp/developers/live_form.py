"""The form with which a partner asks to go live, or to change what schools are asked for."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from wtforms import SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from idp.developers.forms import MAX_URIS_LENGTH, RegistrationForm, UrisForm
from idp.foundation import scopes
from idp.foundation.scopes import Scope
from idp.foundation.web.forms import visible
from idp.partners.metadata import CODE, REFRESH
from idp.signin.forms import plain_text

MAX_REASON_LENGTH: Final = 300
_FOR_SCHOOLS: Final = (("", "No"), ("required", "Required"), ("optional", "The school's choice"))
_FOR_ITSELF: Final = (("", "No"), ("client", "Yes"))
_CREDENTIALS: Final = "client_credentials"
_URI_FIELDS: Final = ("redirect_uris", "post_logout_redirect_uris")


def _strip(text: str | None) -> str:
    return " ".join((text or "").split())


def _or_empty(value: str | None) -> str:
    return value or ""


def _line(label: str, message: str, *, max_length: int = 100) -> StringField:
    return StringField(
        label, [InputRequired(message), Length(max=max_length, message="That is too long."), plain_text], [_strip]
    )


def _page(label: str) -> StringField:
    return StringField(
        label, [InputRequired("Type the URL."), Length(max=2048, message="That is too long.")], [visible]
    )


class GoingLiveForm(RegistrationForm):
    """What schools read of an application; `form_class` adds the scopes."""

    client_name = _line("Name of the application", "Type the name that schools read.")
    purpose = TextAreaField(
        "What it uses the data for",
        [
            InputRequired("Use words that a school would use."),
            Length(min=10, max=500, message="Write a sentence or two: 10 to 500 characters."),
        ],
        [_strip],
    )
    client_uri = _page("Page about the application")
    policy_uri = _page("Privacy notice")
    tos_uri = StringField("Terms of service", [Length(max=2048, message="That is too long.")], [visible])
    agreement_uri = _page("Data sharing agreement")
    agreement_version = _line("Version of the agreement", "Type its version, such as 2026-01.")
    contact = StringField("Contact e-mail", [InputRequired("Type an e-mail address."), Length(max=254)], [visible])
    redirect_uris = TextAreaField("Redirect URIs", [Length(max=MAX_URIS_LENGTH, message="That is too long.")])
    post_logout_redirect_uris = TextAreaField(
        "URIs after signing out", [Length(max=MAX_URIS_LENGTH, message="That is too long.")]
    )
    initiate_login_uri = StringField(
        "Where a sign-in begins", [Length(max=2048, message="That is too long.")], [visible]
    )

    @property
    def areas(self) -> list[tuple[Scope, Any, Any]]:
        """Each scope with its fields: whether it is asked for, and why."""
        offered = scopes.for_partners().items()
        return [(scope, self[_field("kind", name)], self[_field("why", name)]) for name, scope in offered]

    @property
    def reasons(self) -> dict[str, str]:
        """Why each scope that is asked for is needed."""
        return {scope.name: reason.data for scope, kind, reason in self.areas if kind.data and reason.data}

    def show_registration(self, document: Mapping[str, Any], *, version: int, reasons: Mapping[str, str]) -> None:
        """Fill in what is registered."""
        self.version.data = version
        for name, value in document.items():
            if name in self._fields:
                self[name].data = "\n".join(value) if isinstance(value, list) else value
        self.contact.data = next(iter(document.get("contacts") or ()), "")
        for scope, kind, reason in self.areas:
            kinds = [name for name, names in document["scopes"].items() if scope.name in names]
            kind.data, reason.data = next(iter(kinds), ""), reasons.get(scope.name, "")

    def document(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest `base` with what was typed. Grants follow from the scopes."""
        chosen = {
            kind: frozenset(scope.name for scope, field, _ in self.areas if field.data == kind)
            | scopes.operators_only(base["scopes"].get(kind, ()))  # what our staff registered stays
            for kind in ("required", "optional", "client")
        }
        grants = frozenset(base.get("grant_types", {CODE})) - {REFRESH, _CREDENTIALS}
        if "offline_access" in chosen["required"] | chosen["optional"]:
            grants |= {REFRESH}
        if chosen["client"]:
            grants |= {_CREDENTIALS}
        names = (
            "client_name", "purpose", "client_uri", "policy_uri", "tos_uri", "agreement_uri", "agreement_version",
            "initiate_login_uri",
        )  # fmt: skip
        typed = {name: self[name].data for name in names if name in self._fields}
        uris = {name: UrisForm.lines(self[name]) for name in _URI_FIELDS if name in self._fields}
        contacts = [self.contact.data, *list(base.get("contacts") or ())[1:]]
        return {**base, **typed, **uris, "contacts": contacts, "scopes": chosen, "grant_types": grants}

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        """Every scope about data that is asked for has a reason."""
        is_valid = bool(super().validate(extra_validators))
        for scope, kind, reason in self.areas:
            if kind.data and scope.kind != "identity" and not reason.data:
                reason.errors = [f"Say why the application needs this: {scope.title}."]
                is_valid = False
        return is_valid

    def leave_out_uris(self) -> None:
        """Remove the fields of URIs: those of a live application are changed at once, on another page."""
        for name in (*_URI_FIELDS, "initiate_login_uri"):
            del self[name]

    def refuse_all(self, field_errors: list[tuple[str, str]]) -> None:
        """Put each error next to its field; `contacts` is shown as one e-mail address."""
        self.refuse([("contact" if name.startswith("contacts") else name, reason) for name, reason in field_errors])


@cache
def form_class() -> type[GoingLiveForm]:
    """The form with two fields for each scope of the catalogue."""
    fields: dict[str, Any] = {}
    for name, scope in scopes.for_partners().items():
        choices = _FOR_ITSELF if scope.kind == "client" else _FOR_SCHOOLS
        fields[_field("kind", name)] = SelectField(
            "Asked for", choices=[SelectChoice(*choice) for choice in choices], filters=[_or_empty]
        )
        fields[_field("why", name)] = StringField(
            "Why the application needs it",
            [Length(max=MAX_REASON_LENGTH, message="That is too long."), plain_text],
            [_strip],
        )
    return type("GoingLiveFormWithScopes", (GoingLiveForm,), fields)


def _field(prefix: str, scope: str) -> str:
    return f"{prefix}_{scope.replace('.', '_')}"
