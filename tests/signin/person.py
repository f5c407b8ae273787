"""A person with a browser, who opens pages and sends their forms."""

from typing import Any

from tests.factories import PASSWORD
from tests.html import parse


class Person:
    """A person with a browser; `response` is the current page's."""

    def __init__(self, web, **facts):
        self.web = web
        self.facts = facts
        self.response: Any = None

    def open(self, path):
        self.response = self.web.get(path)
        return self.response

    def submit(self, path, **fields):
        """Open the page at `path`, then post its form with these fields; buttons are fields too."""
        self.open(path)
        return self.post(path, **fields)

    def post(self, path, **fields):
        """Post a form to `path` with the CSRF token of the current page."""
        fields = {name.replace("_", "-") if name == "send_code" else name: value for name, value in fields.items()}
        self.response = self.web.post(path, data={"csrf_token": self.token} | fields)
        return self.response

    def post_directly(self, path, **fields):
        """Post a form to `path`, whose page has none for this person, with the token of another page."""
        if self.open("/sign-out").status_code != 200:  # they are not signed in
            self.open("/sign-in")
        return self.post(path, **fields)

    @property
    def token(self):
        """The token of a form on the page: there has to be one, or a refusal would say nothing about who may post."""
        return self.page.find("input", {"name": "csrf_token"})["value"]

    @property
    def page(self):
        return parse(self.response.text)

    @property
    def page_text(self):
        """The text of the main part of the page, in one line."""
        return " ".join(self.page.find("main").get_text(" ").split())

    def cookie(self, name):
        value = self.web.get_cookie(f"idaas-{name}")
        return value.value if value else None

    def is_signed_in(self):
        """Whether the school's first page opens."""
        return self.open("/manage").status_code == 200

    def sign_in(self, username, password=PASSWORD, back=None):
        path = "/sign-in" + (f"?next={back}" if back else "")
        return self.submit(path, username=username, password=password)
