"""Fields for a person's name, e-mail address and mobile number: checked and cleaned. Each error says what to do."""

import re
import unicodedata
from typing import Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType
from wtforms import EmailField, HiddenField, StringField
from wtforms.validators import ValidationError

from idp.foundation import runtime
from idp.foundation.web import email_typos
from idp.foundation.web.forms import Form, visible

MAX_NAME_LENGTH = 80
MAX_EMAIL_LENGTH = 254
MAX_MOBILE_LENGTH = 40
NOT_IN_NAMES = re.compile(
    r"[<>/\\@:;!?{}\[\]|\d]|(?<!\w)(?!(?:dr|fr|miss|mr|mrs|ms|prof|rev|st)\.)[\w-]{2,}\.[^\W\d_]{2,}", re.IGNORECASE
)
"""Domains, digits and punctuation of sentences: our mails contain names, and must not carry an attacker's message."""
MAX_NAME_WORDS = 8
"""Words of a person's name: more are a sentence."""
SENTENCE_WORDS = frozenset(
    ["are", "call", "claim", "click", "free", "has", "have", "is", "our", "please", "refund", "this", "urgent",
     "visit", "waiting", "was", "we", "will", "with", "you", "your"]
)  # fmt: skip
"""A name may contain one of these words; with two of them it is taken for a sentence."""

PHONE_NUMBER_CHARACTERS = re.compile(r"[\d\s()+./\-\u2010-\u2015\u2212]+")
"""Digits, and the characters that people write between them."""

ZERO_WIDTH_JOINERS = "\u200c\u200d"
"""Invisible, and needed to write some languages."""

ZERO_WIDTH = dict.fromkeys(map(ord, "\u00ad\u180e\u200b\u2060\ufeff"))
"""Invisible characters that are often copied along with text; they are removed."""

MOBILE_NUMBER_TYPES = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
OFCOM_FICTIONAL = re.compile(r"7700900\d{3}")
"""Numbers that Ofcom reserves for drama and never assigns; accepted outside production, for tests."""


def one_line(text: Any) -> Any:
    """`text` without invisible characters, trimmed, with single spaces."""
    return " ".join(text.translate(ZERO_WIDTH).split()) if isinstance(text, str) else text


def person_name(_form: Form, field: StringField) -> None:
    """A person's name, in any script; not a web address."""
    check_name(field.data or "", whose="your")


def colleagues_name(_form: Form, field: StringField) -> None:
    """The name of another person, in any script; not a web address."""
    check_name(field.data or "", whose="their")


def check_name(name: str, *, whose: str) -> None:
    """Raise a `ValidationError` that says what to type instead, unless `name` can be a person's name."""
    if not any(char.isalpha() for char in name):
        raise ValidationError(f"Enter {whose} name")
    if len(name) > MAX_NAME_LENGTH:
        raise ValidationError(f"{whose.capitalize()} name must be {MAX_NAME_LENGTH} characters or fewer")
    without_joiners = (char for char in name if char not in ZERO_WIDTH_JOINERS)
    if (
        NOT_IN_NAMES.search(name)
        or _is_a_sentence(name)
        or any(unicodedata.category(char)[0] == "C" for char in without_joiners)
    ):
        raise ValidationError(f"Enter {whose} name with letters, spaces, hyphens and apostrophes only")


def _is_a_sentence(name: str) -> bool:
    words = name.casefold().split()
    return len(words) > MAX_NAME_WORDS or len(SENTENCE_WORDS.intersection(words)) >= 2


def parse_email(text: str | None, *, whose: str = "your") -> str:
    """The address in its normalised form. Raises `ValidationError` saying what to type instead."""
    address = visible(text)
    if not address:
        raise ValidationError(f"Enter {whose} e-mail address")
    invalid = ValidationError("Enter an e-mail address in the right form, like name@school.sch.uk")
    if len(address) > MAX_EMAIL_LENGTH:
        raise invalid
    try:
        result = validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise invalid from error
    if result.ascii_email is None:
        raise ValidationError("Enter an e-mail address whose part before the @ has plain letters only")
    return result.ascii_email


def parse_mobile(text: str | None) -> str:
    """The mobile number in E.164, British unless it begins with +. Raises `ValidationError`."""
    cleaned = unicodedata.normalize("NFKC", visible(text))
    if not cleaned:
        raise ValidationError("Enter your mobile number")
    invalid = ValidationError("Enter a mobile number, like 07700 900 123 or +44 7700 900 123")
    # The parser would read letters as the keys of a telephone, and other characters as an extension.
    if not PHONE_NUMBER_CHARACTERS.fullmatch(cleaned):
        raise invalid
    try:
        number = phonenumbers.parse(cleaned[:MAX_MOBILE_LENGTH], "GB")
    except NumberParseException as error:
        raise invalid from error
    if not _is_fictional(number):
        if not phonenumbers.is_valid_number(number):
            raise invalid
        if phonenumbers.number_type(number) not in MOBILE_NUMBER_TYPES:
            raise ValidationError("Enter a mobile number: we send text messages to it")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def email_address(_form: Form, field: StringField) -> None:
    """An address that mail can be sent to."""
    parse_email(field.data)


def colleagues_email(_form: Form, field: StringField) -> None:
    """Another person's address that mail can be sent to."""
    parse_email(field.data, whose="their")


def mobile_number(_form: Form, field: StringField) -> None:
    """A number that text messages can be sent to."""
    parse_mobile(field.data)


def readable_phone_number(e164: str) -> str:
    """A number as people write it: `07700 900123`, or with its country where it is foreign."""
    number = phonenumbers.parse(e164)
    is_british = number.country_code == 44
    return phonenumbers.format_number(
        number, PhoneNumberFormat.NATIONAL if is_british else PhoneNumberFormat.INTERNATIONAL
    )


def _is_fictional(number: phonenumbers.PhoneNumber) -> bool:
    national = str(number.national_number)
    allowed = runtime.settings().environment != "production"
    return allowed and number.country_code == 44 and OFCOM_FICTIONAL.fullmatch(national) is not None


class EmailForm(Form):
    """A form that asks once about an address that looks mistyped; submitting it again confirms the address."""

    confirmed_email = HiddenField()
    """The address that the person was asked about."""

    def validate_email(self, field: EmailField) -> None:
        """Ask for confirmation where the domain is almost a common one."""
        if field.errors:
            return
        address = parse_email(field.data)
        suggestion = email_typos.suggest(address)
        if suggestion and self.confirmed_email.data != address:
            self.confirmed_email.data = address
            raise ValidationError(f"Did you mean {suggestion}? If {address} is right, press the button again.")
