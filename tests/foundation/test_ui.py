"""The parts of pages: the layout, the macros and the stylesheet; and the layout of mails and text messages."""

import re

import pytest
from flask import render_template, render_template_string
from wtforms import BooleanField, Form, PasswordField, RadioField, StringField
from wtforms.validators import InputRequired

from idp.foundation.setting_types import ROOT
from tests.html import parse

TEMPLATES = ROOT / "idp/templates"
PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if path.parent.name != "mail")
CSS = (ROOT / "idp/static/app.css").read_text(encoding="utf-8")


class Details(Form):
    name = StringField("Your name", [InputRequired("Enter your name.")])
    password = PasswordField("Password")
    role = RadioField("Role", [InputRequired("Choose a role.")], choices={"owner": "Owner", "viewer": "Viewer"})
    authority = BooleanField("I have authority", [InputRequired("Tick the box.")])


@pytest.fixture
def page(app):
    """`page(main)` renders the template `main` in the layout, with a form; returns the parsed page."""

    def render(main, form=None, **blocks):
        template_blocks = "".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in blocks.items())
        source = f"""{{% extends "base.html" %}}{{% import "macros/ui.html" as ui %}}
            {{% block title %}}Your details{{% endblock %}}{template_blocks}{{% block main %}}{main}{{% endblock %}}"""
        with app.test_request_context("/"):
            return parse(render_template_string(source, form=form))

    return render


@pytest.fixture
def empty_form():
    """A form sent empty."""
    form = Details()
    form.validate()
    return form


def test_the_title_of_a_page_names_the_page_and_the_service(page):
    soup = page("<p>Hello</p>")

    assert soup.title.text == "Your details \N{EN DASH} IDaaS"
    assert soup.h1.text == "Your details"
    assert soup.select_one("main p").text == "Hello"


def test_the_title_of_a_page_with_errors_begins_with_error(page, empty_form):
    assert page("", form=empty_form).title.text == "Error: Your details \N{EN DASH} IDaaS"


def test_the_first_link_skips_to_the_content(page):
    soup = page("")

    assert soup.find("a")["href"] == "#" + soup.main["id"]


def test_a_page_without_help_has_no_empty_aside(page):
    assert page("").aside is None
    assert page("", aside="<p>Call us</p>").aside.text.strip() == "Call us"


def test_the_error_summary_leads_to_each_wrong_field(page, empty_form):
    form = """{{ ui.field(form.name) }}{{ ui.field(form.password) }}{{ ui.radios(form.role) }}
              {{ ui.checkbox(form.authority) }}"""
    soup = page(form, form=empty_form, problems="{{ ui.error_summary(form) }}")
    summary = soup.select_one(".error-summary")

    assert summary.h2.text == "3 things need your attention"
    assert summary["tabindex"] == "-1"
    assert summary.select_one("[role=alert]")
    links = {link.text: soup.select_one(link["href"]) for link in summary.select("a")}
    assert {text: target["name"] for text, target in links.items()} == {
        "Enter your name.": "name", "Choose a role.": "role", "Tick the box.": "authority",
    }  # fmt: skip


def test_a_form_without_errors_has_no_error_summary(page):
    soup = page("{{ ui.field(form.name) }}", form=Details(), problems="{{ ui.error_summary(form) }}")

    assert soup.select_one(".error-summary") is None
    assert not soup.select_one("#name").has_attr("aria-invalid")


def test_a_field_is_described_by_its_hint_and_its_error(page, empty_form):
    soup = page('{{ ui.field(form.name, hint="As your school knows you.", autocomplete="name") }}', form=empty_form)
    field = soup.select_one("#name")
    described = [soup.select_one("#" + id_).text for id_ in field["aria-describedby"].split()]

    assert soup.select_one("label[for=name]").text == "Your name"
    assert described == ["As your school knows you.", "Error: Enter your name."]
    assert (field["aria-invalid"], field["autocomplete"]) == ("true", "name")


def test_typed_text_stays_in_the_field_and_is_escaped(page):
    soup = page("{{ ui.field(form.name) }}", form=Details(data={"name": '"><script>alert(1)</script>'}))

    assert soup.select_one("#name")["value"] == '"><script>alert(1)</script>'
    assert soup.main.script is None


def test_the_button_that_shows_a_password_is_hidden_without_the_script(page):
    button = page("{{ ui.field(form.password) }}", form=Details()).select_one("[data-reveal] button")

    assert button.has_attr("hidden")
    assert (button["type"], button["aria-controls"]) == ("button", "password")


def test_steps_mark_the_current_one(page):
    soup = page('{{ ui.steps(2, ["Find your school", "Your details", "Next steps"]) }}')

    assert soup.select_one(".steps p").text == "Step 2 of 3: Your details"
    assert [step.get("aria-current") for step in soup.select(".steps li")] == [None, "step", None]


def test_a_credential_can_be_copied_exactly(page):
    soup = page('{{ ui.credential("Estab ID", "E1000<1") }}')

    assert soup.select_one("#" + soup.select_one("[data-copy]")["data-copy"]).text == "E1000<1"


def test_each_cell_of_a_table_has_its_heading_for_narrow_screens(page):
    soup = page('{{ ui.table(["Partner", "Since"], [["Assembly", "4 March"]], caption="Sharing") }}')

    assert soup.select_one("tbody th[scope=row]").text == "Assembly"
    assert soup.select_one("tbody td")["data-label"] == "Since"


def test_an_error_page_shows_its_code_and_the_id_of_the_request(app):
    with app.test_request_context("/"):
        soup = parse(
            render_template(
                "errors/page.html", status=410, code="link_used", title="Used", message="It has been used.",
                next_steps=(("Send a new one", "/again"),), request_id="abc-1",
            )
        )  # fmt: skip

    assert soup.h1.text == "Used"
    assert soup.select_one("#error-code").text == "link_used"
    assert soup.select_one("main a.button")["href"] == "/again"
    assert "abc-1" in soup.main.text


def test_the_text_of_a_mail_does_not_contain_its_subject(app):
    source = '{% extends "mail/base.txt" %}{% block subject %}Hello{% endblock %}{% block text %}Dear you{% endblock %}'
    with app.test_request_context("/"):
        text = render_template_string(source)

    assert text.startswith("Dear you\n")
    assert "Hello" not in text
    assert "IDaaS" in text


def test_a_text_message_is_one_line_that_names_the_service(app):
    source = '{% extends "sms/base.txt" %}{% block text %}123456 is your code.{% endblock %}'
    with app.test_request_context("/"):
        assert render_template_string(source) == "IDaaS: 123456 is your code."


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_page_needs_inline_styles_handlers_or_another_host(path):
    source = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert not re.search(r"<[^>]*\s(style|on[a-z]+)\s*=", source)
    assert not re.search(r"<style|javascript:", source)
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)\s*=\s*[\"']?(https?:)?//", source)
    assert not re.search(r"<script(?![^>]*\b(src|nonce)=)", source)


def test_the_stylesheet_loads_nothing_from_other_hosts():
    for path in re.findall(r"url\(\"?([^\")]+)", CSS):
        assert (ROOT / "idp/static" / path).is_file()


def test_every_custom_property_used_is_one_that_is_set():
    properties = set(re.findall(r"(--[\w-]+):", CSS)) | {
        "--brand",
        "--on-brand",
        "--brand-hover",
        "--brand-soft",
        "--band",
    }

    assert set(re.findall(r"var\((--[\w-]+)", CSS)) <= properties
