"""A person who uses a partner's application and our pages, by HTTP, without a browser."""

from urllib.parse import urljoin

import requests

from tests.factories import PASSWORD
from tests.html import parse


class Office:
    """A person in a school office, with a browser whose current page is `page`."""

    def __init__(self, assembly: str, estab_id: str = "") -> None:
        self.assembly, self.estab_id = assembly, estab_id
        self.browser = requests.Session()

    def open(self, url):
        self._set_page(self.browser.get(url, timeout=20))

    def press(self, button, **fields):
        """Send the form of this button with the values on the page, or those of `fields` instead."""
        [pressed] = [element for element in self.page.select("button") if element.get_text(strip=True) == button]
        form = pressed.find_parent("form")
        assert form is not None
        sent = [
            (field["name"], field.get("value", ""))
            for field in form.select("input[name]")
            if field.get("type") != "checkbox" and field["name"] not in fields
        ]
        sent += [(pressed["name"], pressed.get("value", ""))] if pressed.get("name") else []
        url = urljoin(self.url, str(form.get("action") or self.url))
        self._set_page(self.browser.post(url, data=[*sent, *fields.items()], timeout=20))

    def sign_in(self):
        self.open(f"{self.assembly}/school-account")
        self.press("Sign in", username=self.estab_id, password=PASSWORD)

    def authorise(self, *areas):
        self.press("Authorise sharing", area=areas, authority="y")

    @property
    def page_text(self):
        """The text of the page, in one line."""
        return self.page.get_text(" ", strip=True)

    def _set_page(self, response):
        self.url, self.page = response.url, parse(response.text)
