"""A person who uses a partner's application and our pages, by HTTP, without a browser."""

from urllib.parse import urljoin

import requests

from tests.factories import PASSWORD
from tests.html import parse


class Office:
    """A person in a school office: follows links, fills in forms, and keeps the current page."""

    def __init__(self, assembly: str, estab_id: str = "") -> None:
        self.assembly, self.estab_id = assembly, estab_id
        self.browser = requests.Session()

    def opens(self, url):
        self._shows(self.browser.get(url, timeout=20))

    def sends(self, button, **fields):
        """Send the form with this button, with the values on the page and `fields` in their place."""
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
        self._shows(self.browser.post(url, data=[*sent, *fields.items()], timeout=20))

    def signs_in(self):
        self.opens(f"{self.assembly}/school-account")
        self.sends("Sign in", username=self.estab_id, password=PASSWORD)

    def authorises(self, *areas):
        self.sends("Authorise sharing", area=areas, authority="y")

    def reads(self):
        return self.page.get_text(" ", strip=True)

    def _shows(self, response):
        self.url, self.page = response.url, parse(response.text)
