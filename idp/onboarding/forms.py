"""What people type while registering, checked kindly and cleaned: each error says what to do."""

import re
import unicodedata
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from wtforms import BooleanField, EmailField, HiddenField, PasswordField, RadioField, StringField, TelField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, ValidationError

from idp.foundation import runtime
from idp.foundation.web.forms import Form, visible
from idp.onboarding import slips
from idp.onboarding.register import Details

NAME_LIMIT = 80
EMAIL_LIMIT = 254
MOBILE_LIMIT = 40
NOT_IN_NAMES = re.compile(
    r"[<>/\\@:;!?{}\[\]|\d]|(?<!\w)(?!(?:dr|fr|miss|mr|mrs|ms|prof|rev|st)\.)[\w-]{2,}\.[^\W\d_]{2,}", re.IGNORECASE
)
"""Domains, numbers and sentences are no names: our mails carry names, and must not carry a stranger's message."""
MAX_NAME_WORDS = 8
SENTENCE_WORDS = frozenset(
    ["are", "call", "claim", "click", "free", "has", "have", "is", "our", "please", "refund", "this", "urgent",
     "visit", "waiting", "was", "we", "will", "with", "you", "your"]
)  # fmt: skip
"""One of them may be a name; two of them are a sentence."""

IN_NUMBERS = re.compile(r"[\d\s()+./\-\u2010-\u2015\u2212]+")
"""Digits and what people put between them."""

JOINERS = "\u200c\u200d"
"""Invisible, and needed to write some languages."""

ZERO_WIDTH = dict.fromkeys(map(ord, "\u00ad\u180e\u200b\u2060\ufeff"))
"""Blanks that take no room, which come along when something is copied."""

MOBILES = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
OFCOM_FICTIONAL = re.compile(r"7700900\d{3}")
"""Fictional numbers that Ofcom has set aside for drama."""


def one_line(text: Any) -> Any:
    """Text without blanks at its ends or without width, and with single ones inside."""
    return " ".join(text.translate(ZERO_WIDTH).split()) if isinstance(text, str) else text


def person_name(_form: Form, field: StringField) -> None:
    """A person's name, in any script; not a web address."""
    name = field.data or ""
    if not any(char.isalpha() for char in name):
        raise ValidationError("Enter your name")
    if len(name) > NAME_LIMIT:
        raise ValidationError(f"Your name must be {NAME_LIMIT} characters or fewer")
    invisible = (char for char in name if char not in JOINERS)
    if (
        NOT_IN_NAMES.search(name)
        or _is_a_sentence(name)
        or any(unicodedata.category(char)[0] == "C" for char in invisible)
    ):
        raise ValidationError("Enter your name with letters, spaces, hyphens and apostrophes only")


def _is_a_sentence(name: str) -> bool:
    words = name.casefold().split()
    return len(words) > MAX_NAME_WORDS or len(SENTENCE_WORDS.intersection(words)) >= 2


def address_of(text: str | None) -> str:
    """The address that was typed, in its plain form. Raises `ValidationError` saying what to type instead."""
    typed = visible(text)
    if not typed:
        raise ValidationError("Enter your e-mail address")
    wrong = ValidationError("Enter an e-mail address in the right form, like name@school.sch.uk")
    if len(typed) > EMAIL_LIMIT:
        raise wrong
    try:
        found = validate_email(typed, check_deliverability=False, strict=True)
    except EmailNotValidError as fault:
        raise wrong from fault
    if found.ascii_email is None:
        raise ValidationError("Enter an e-mail address whose part before the @ has plain letters only")
    return found.ascii_email


def mobile_of(text: str | None) -> str:
    """The mobile number that was typed, British unless it begins with +, in E.164. Raises `ValidationError`."""
    typed = unicodedata.normalize("NFKC", visible(text))
    if not typed:
        raise ValidationError("Enter your mobile number")
    wrong = ValidationError("Enter a mobile number, like 07700 900 123 or +44 7700 900 123")
    if not IN_NUMBERS.fullmatch(typed):  # the parser would take letters for keys, and the rest for an extension
        raise wrong
    try:
        number = phonenumbers.parse(typed[:MOBILE_LIMIT], "GB")
    except NumberParseException as fault:
        raise wrong from fault
    if not _is_drama(number):
        if not phonenumbers.is_valid_number(number):
            raise wrong
        if phonenumbers.number_type(number) not in MOBILES:
            raise ValidationError("Enter a mobile number: we send text messages to it")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def email_address(_form: Form, field: StringField) -> None:
    """An address that mail can be sent to."""
    address_of(field.data)


def mobile_number(_form: Form, field: StringField) -> None:
    """A number that text messages can be sent to."""
    mobile_of(field.data)


def readable_mobile(e164: str) -> str:
    """A number as people write it: `07700 900123`, or with its country where it is foreign."""
    number = phonenumbers.parse(e164)
    british = number.country_code == 44
    return phonenumbers.format_number(
        number, PhoneNumberFormat.NATIONAL if british else PhoneNumberFormat.INTERNATIONAL
    )


def _is_drama(number: phonenumbers.PhoneNumber) -> bool:
    national = str(number.national_number)
    allowed = runtime.settings().environment != "production"
    return allowed and number.country_code == 44 and OFCOM_FICTIONAL.fullmatch(national) is not None


def declared(_form: Form, field: BooleanField) -> None:
    """The declaration has to be made."""
    if not field.data:
        raise ValidationError("Tick the box to confirm that you are allowed to authorise sharing for this school")


class WithAddress(Form):
    """A form that asks about an address which looks like a slip, once; who sends it again means it."""

    sure = HiddenField()
    """The address that was asked about."""

    def validate_email(self, field: EmailField) -> None:
        """Ask, where the address ends almost as many do."""
        if field.errors:
            return
        typed = address_of(field.data)
        meant = slips.meant_instead(typed)
        if meant and self.sure.data != typed:
            self.sure.data = typed
            raise ValidationError(f"Did you mean {meant}? If {typed} is right, press the button again.")


class YourDetails(WithAddress):
    """The registration form the first time."""

    name = StringField("Your name", filters=[one_line], validators=[person_name])
    email = EmailField("Your work e-mail address", validators=[email_address])
    mobile = TelField("Your mobile number", validators=[mobile_number])
    declaration = BooleanField(
        "I work for this school, and I am allowed to authorise sharing its data", validators=[declared]
    )

    def typed(self) -> Details:
        """What was typed, cleaned."""
        return self.details(address_of(self.email.data))

    def details(self, email: str) -> Details:
        """The same, for an address that is known."""
        return Details(name=str(self.name.data), email=email, mobile=mobile_of(self.mobile.data))


class SignUp(YourDetails):
    """The same form as it comes back: the address is verified, and stays as it is."""

    email = sure = None


class Address(WithAddress):
    """A corrected address."""

    email = EmailField("The right e-mail address", validators=[email_address])

    def typed(self) -> str:
        """The address, in its plain form."""
        return address_of(self.email.data)


class HandoverCode(Form):
    """The code that the other browser shows."""

    code = StringField("Six-digit code", filters=[one_line], validators=[InputRequired("Enter the six-digit code")])


class OwnPassword(Form):
    """A password of one's own instead of the one shown."""

    password = PasswordField("Your own password")


class JoinDecision(Form):
    """The role for a person who asks to join."""

    role = RadioField(
        "What may they do?",
        choices=[
            SelectChoice("admin", "Authorise and stop sharing"),
            SelectChoice("viewer", "Look, and change nothing"),
        ],
        validate_choice=False,
    )

    def validate_role(self, field: RadioField) -> None:
        """One of the two has to be chosen."""
        if field.data not in {"admin", "viewer"}:
            raise ValidationError("Choose what they may do")
