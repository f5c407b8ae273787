"""Contact fields: common forms are accepted, errors keep what was typed, and values are normalised."""

import pytest
from wtforms import EmailField, StringField, TelField
from wtforms.validators import ValidationError

from idp.foundation import runtime
from idp.foundation.web import contact_fields

VALID_FIELDS = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "07700 900123"}


class Contact(contact_fields.EmailForm):
    """A form with all contact fields."""

    name = StringField(filters=[contact_fields.one_line], validators=[contact_fields.person_name])
    email = EmailField(validators=[contact_fields.email_address])
    mobile = TelField(validators=[contact_fields.mobile_number])


@pytest.fixture
def filled_form(app):
    """`filled_form(name="…")` is the form after its validation, with valid fields or others."""

    def make(**overrides):
        with app.test_request_context(method="POST", data=VALID_FIELDS | overrides):
            form = Contact(meta={"csrf": False})
            form.validate()
            return form

    return make


@pytest.mark.parametrize(
    "name",
    [
        "Jo Bloggs", "Siân O’Neill-Łukasz", "李雷", "Dr. Aoife (Deputy) Ní Bhriain, BA", "J.R. Smith", "Dr.Aoife Byrne",
        "St.John Rivers", "You Kim", "Are Larsen", "María del Carmen García de la Cruz",
    ],
)  # fmt: skip
def test_names_of_many_kinds_are_accepted(filled_form, name):
    assert not filled_form(name=name).errors


@pytest.mark.parametrize(
    "name",
    ["", "   ", "123", "x" * 81, "Win at https://evil.example", "www.evil.example Jo", "<b>Jo</b>", "Jo\x00",
     "Jo\u202eB", "jo@evil.example", "{{ 7*7 }}"],
)  # fmt: skip
def test_text_that_is_not_a_name_is_refused_with_what_to_do(filled_form, name):
    assert filled_form(name=name).errors["name"][0].startswith(("Enter your name", "Your name must"))


@pytest.mark.parametrize(
    ("typed", "normalised"),
    [
        (" Office@Oakhill.EXAMPLE ", "Office@oakhill.example"),
        ("a.b+c@school.sch.uk", "a.b+c@school.sch.uk"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("\u200boffice@oak\u200bhill.example\ufeff", "office@oakhill.example"),
    ],
)
def test_an_email_address_is_normalised(app, typed, normalised):
    assert contact_fields.parse_email(typed) == normalised


@pytest.mark.parametrize(
    "typed",
    ["", "office", "office@", "@oakhill.example", "a b@oakhill.example", "a@b@c.example", "a@localhost",
     "a@[127.0.0.1]", "a@oakhill.example\r\nBcc: b@evil.example", "Jo <a@oakhill.example>",
     "a@oakhill.example,b@evil.example", "ü@oakhill.example",
     "a" * 65 + "@oakhill.example", "a@" + "x" * 260 + ".example", "a\x00@oakhill.example"],
)  # fmt: skip
def test_text_that_is_not_one_email_address_is_refused_with_what_to_do(app, typed):
    with pytest.raises(ValidationError, match=r"^Enter"):
        contact_fields.parse_email(typed)


@pytest.mark.parametrize(
    ("typed", "normalised"),
    [
        ("07911 123456", "+447911123456"),
        ("+44 7911 123456", "+447911123456"),
        ("(07911) 123-456", "+447911123456"),
        ("+353 85 123 4567", "+353851234567"),
        ("07797 712345", "+447797712345"),
        ("07700 900123", "+447700900123"),
        ("\u202d07700\u200b 900123\u202c", "+447700900123"),
        ("\uff10\uff17700 900123", "+447700900123"),
        ("07700\u2011900\u2013123", "+447700900123"),
    ],
)
def test_a_mobile_number_without_a_country_code_is_british(app, typed, normalised):
    with app.app_context():
        assert contact_fields.parse_mobile(typed) == normalised


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "hello",
        "123",
        "020 7946 0000",
        "0800 1111",
        "07012 345678",
        "+1",
        "0" * 300,
        "+44 7911 12345\x00",
        "07700900123x",
        "07700900123 x5",
        "07700 900123 ext 5",
        "0770O 900123",
        "07700900123#",
        "tel:07700900123",
    ],
)
def test_numbers_that_cannot_receive_texts_are_refused_with_what_to_do(app, typed):
    with app.app_context(), pytest.raises(ValidationError, match=r"^Enter"):
        contact_fields.parse_mobile(typed)


def test_a_number_that_ofcom_reserves_for_films_is_refused_in_production(app, monkeypatch):
    with app.app_context():
        production = runtime.settings().model_copy(update={"environment": "production"})
        monkeypatch.setattr(runtime, "settings", lambda: production)
        with pytest.raises(ValidationError):
            contact_fields.parse_mobile("07700 900123")


def test_valid_fields_keep_the_typed_text_when_another_has_an_error(filled_form):
    form = filled_form(name="", mobile="07700 900 123", email="Office@Oakhill.example")

    assert form.mobile.data == "07700 900 123"
    assert form.email.data == "Office@Oakhill.example"
    assert set(form.errors) == {"name"}


def test_a_number_is_displayed_with_spaces():
    assert contact_fields.readable_phone_number("+447700900123") == "07700 900123"
    assert contact_fields.readable_phone_number("+353851234567") == "+353 85 123 4567"


@pytest.mark.parametrize("name", ["Jo\u200b Bloggs", "\ufeffJo Bloggs", "Jo Blog\u00adgs"])
def test_zero_width_spaces_are_removed_from_names(filled_form, name):
    form = filled_form(name=name)

    assert not form.errors
    assert form.name.data == "Jo Bloggs"


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("ann@gmial.com", "ann@gmail.com"), ("ann@gmail.co", "ann@gmail.com"),
        ("Ann@hotmial.co.uk", "Ann@hotmail.co.uk"),
        ("office@oakhill.sch.ku", "office@oakhill.sch.uk"), ("office@oakhill.shc.uk", "office@oakhill.sch.uk"),
        ("office@oakhill.leeds.scg.uk", "office@oakhill.leeds.sch.uk"),
    ],
)  # fmt: skip
def test_a_likely_typing_error_in_an_address_is_asked_about_once(filled_form, typed, suggested):
    first_form = filled_form(email=typed)
    plain = contact_fields.parse_email(typed)
    assert first_form.errors == {"email": [f"Did you mean {suggested}? If {plain} is right, press the button again."]}

    assert not filled_form(email=typed, confirmed_email=first_form.confirmed_email.data).errors
    assert filled_form(email="bob@gmial.com", confirmed_email=first_form.confirmed_email.data).errors, (
        "that was another address"
    )
    assert not filled_form(email=suggested, confirmed_email=first_form.confirmed_email.data).errors


@pytest.mark.parametrize(
    "typed",
    ["ann@gmail.com", "ann@ymail.com", "ann@mail.com", "office@oakhill.sch.uk", "office@oakhill.co.uk",
     "office@oakhill.example", "office@trust.org.uk", "ann@hotmail.fr", "nurse@ward.nhs.uk", "office@co.uk.example"],
)  # fmt: skip
def test_addresses_without_a_likely_typing_error_are_accepted(filled_form, typed):
    assert not filled_form(email=typed).errors


@pytest.mark.parametrize(
    "name",
    [
        "Your refund is waiting at evil-bank.example", "Your refund is waiting", "Jo evil-bank.example", "evil.co",
        "Call 07700 900123", "Jo 2", "Please visit us", "Win a prize!", "one two three four five six seven eight nine",
    ],
)  # fmt: skip
def test_domains_numbers_and_sentences_are_refused_as_names(filled_form, name):
    assert "name" in filled_form(name=name).errors
