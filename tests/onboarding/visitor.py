"""A person with a browser: opens pages, fills in forms, presses buttons, and keeps the current page."""

from typing import Any
from urllib.parse import urljoin, urlsplit

from bs4 import Tag
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import PASSWORD
from tests.html import parse


class Page:
    """A response, after following redirects on our own host."""

    def __init__(self, response: TestResponse) -> None:
        self.response = response
        self.status = response.status_code
        self.path = response.request.full_path.rstrip("?")
        self.soup = parse(response.text)

    @property
    def text(self) -> str:
        """The text of the main part, with single spaces."""
        return " ".join((self.soup.find("main") or self.soup).get_text(" ").split())

    @property
    def title(self) -> str:
        """The main heading, or "" if there is none."""
        heading = self.soup.find("h1")
        return " ".join(heading.get_text(" ").split()) if heading else ""

    def link(self, label: str) -> str:
        """The address of the link with this id or text."""
        for element in self.soup.find_all("a"):
            if element.get("id") == label or label in element.get_text(" "):
                return str(element["href"])
        raise AssertionError(f"no link {label!r} on {self.title!r}: {self.text}")

    def text_of(self, element_id: str) -> str:
        """The text of the element with this id."""
        element = self.soup.find(id=element_id)
        assert element is not None, f"no #{element_id} on {self.title!r}: {self.text}"
        return element.get_text().strip()

    @property
    def poll_url(self) -> str:
        """The URL that the page polls, to notice what happens in another browser."""
        element = self.soup.select_one("[data-poll-url]")
        assert element is not None, f"{self.title!r} does not poll"
        return str(element["data-poll-url"])

    def button_and_form(self, button: str) -> tuple[Tag, Tag]:
        """The button with this id or text, and its form."""
        for element in self.soup.find_all("button"):
            if element.get("id") == button or button in element.get_text(" "):
                form = element.find_parent("form")
                assert isinstance(form, Tag)
                return element, form
        raise AssertionError(f"no button {button!r} on {self.title!r}: {self.text}")

    def fields(self, button: str) -> dict[str, Any]:
        """The fields that pressing this button would send."""
        pressed, form = self.button_and_form(button)
        sent: dict[str, Any] = {}
        for field in form.find_all("input"):
            is_sent = field.get("type") not in {"checkbox", "radio"} or field.has_attr("checked")
            if field.get("name") and is_sent:
                sent[str(field["name"])] = str(field.get("value", ""))
        if pressed.get("name"):
            sent[str(pressed["name"])] = str(pressed.get("value", ""))
        return sent


class Visitor:
    """One browser: its cookies, and the page it shows."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.page: Page

    def open(self, address: str) -> Page:
        """Open the page at this path or URL of ours, and follow redirects."""
        parts = urlsplit(address)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.page = Page(self.client.get(path, follow_redirects=True))
        return self.page

    def press(self, button: str, **fields: Any) -> Page:
        """Fill in these fields and press a button; None unticks a checkbox."""
        before = self.page
        sent = before.fields(button) | fields
        _, form = before.button_and_form(button)
        return self.submit(before, form, {name: value for name, value in sent.items() if value is not None})

    def sign_in(self, username: str) -> Page:
        """Sign in with the password of the people of `tests.factories`."""
        self.open("/sign-in")
        return self.press("sign-in", username=username, password=PASSWORD)

    def submit(self, before: Page, form: Tag, sent: dict[str, Any]) -> Page:
        """Send these fields with the method and to the URL of this form."""
        path = urljoin(before.path, str(form.get("action") or before.path))
        method = str(form.get("method", "get")).lower()
        if method == "post":
            response = self.client.post(path, data=sent, follow_redirects=True)
        else:
            response = self.client.get(path, query_string=sent, follow_redirects=True)
        self.page = Page(response)
        return self.page
