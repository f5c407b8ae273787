"""A browser without JavaScript: it opens pages, fills in their forms by the documented names of the controls, and
stops at the first URL of the partner (protocol.md §3.9).

It is as strict as Chromium in two points: a form may lead only to URLs that the page's `form-action` allows,
redirects included, and a POST from another site is sent without cookies.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

from tests.html import parse

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
REDIRECTS = {302, 303}
MAX_REDIRECTS = 10
"""Redirects in a row."""


@dataclass(frozen=True)
class PartnerRequest:
    """The request that reached the partner: its method, URL and parameters."""

    method: str
    url: str
    query: list[tuple[str, str]]
    form: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def from_url(cls, method: str, url: str, form: list[tuple[str, str]] | None = None) -> "PartnerRequest":
        split = urlsplit(url)
        assert not split.fragment, "the response has a fragment"
        query = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
        return cls(method, split._replace(query="").geturl(), query, form or [])


@dataclass(frozen=True)
class Page:
    """The page that the browser shows."""

    url: str
    status: int
    headers: Any
    soup: Any

    @property
    def text(self) -> str:
        """The text of the page, as a reader sees it."""
        return " ".join((self.soup.find(id="main") or self.soup).get_text(" ").split())

    def has(self, control: str) -> bool:
        return self.soup.find(id=control) is not None

    def allows_form_action(self, url: str) -> bool:
        """Whether the page's `form-action` allows `url` and any URL that it may redirect to."""
        rules = [rule.split() for rule in self.headers.get("Content-Security-Policy", "").split(";")]
        allowed = next((rule[1:] for rule in rules if rule and rule[0] == "form-action"), None)
        return allowed is None or ("'self'" in allowed and _origin(url) == _origin(self.url))


class Browser:
    """A person's browser. `page` is its page; None once a URL below `partner_url` was reached."""

    def __init__(self, certificate: str, username: str, password: str, *, partner_url: str | None = None) -> None:
        self.username, self.password, self._partner_url = username, password, partner_url
        self.session, self._other_site = session_trusting(certificate), session_trusting(certificate)
        self._page: Page | None = None

    @property
    def page(self) -> Page:
        assert self._page is not None, "the browser is at the partner's"
        return self._page

    def open(self, url: str) -> PartnerRequest | None:
        """Follow a link to a page of ours, or to the partner."""
        return self._send("GET", url)

    def post(self, url: str, form: dict[str, str]) -> PartnerRequest | None:
        """Send a form of another site: without cookies that are `SameSite=Lax`."""
        self._other_site.cookies.clear()
        response = self._other_site.post(url, data=form, allow_redirects=False, timeout=20)
        self.session.cookies.update(response.cookies)
        return self._follow_redirects(response)

    def press(self, button: str, **fields: str | None) -> PartnerRequest | None:
        """Fill in and send the form that the button belongs to; None unticks."""
        pressed = self.page.soup.find(id=button)
        assert pressed is not None, self.page.text
        return self.submit(pressed.find_parent("form"), pressed, **fields)

    def submit(self, form: Any, pressed: Any, **fields: str | None) -> PartnerRequest | None:
        """Fill in and send a form of the page by one of its buttons; None unticks."""
        page = self.page
        assert (form.get("enctype") or FORM_CONTENT_TYPE) == FORM_CONTENT_TYPE
        sent = _fields(form, pressed)
        for name, value in fields.items():
            sent = [pair for pair in sent if pair[0] != name] + ([] if value is None else [(name, value)])
        target = urljoin(page.url, form.get("action") or page.url)
        method = (form.get("method") or "get").upper()
        return self._send(method, target, sent, pressed_on=page)

    def sign_in(self) -> PartnerRequest | None:
        """Sign in, on the sign-in page."""
        return self.press("sign-in", username=self.username, password=self.password)

    def allow(self) -> PartnerRequest | None:
        """Authorise sharing, on the page that asks for it."""
        return self.press("allow", **({"authority": "y"} if self.page.has("authority") else {}))

    def continue_to_partner(self, partner_request: PartnerRequest | None = None) -> PartnerRequest:
        """Do what each page asks until the partner is reached."""
        partner_request = self._complete_pages(partner_request)
        assert partner_request is not None, (
            f"the browser stopped at a page of ours: {self.page.status} {self.page.url}: {self.page.text}"
        )
        return partner_request

    def visit_page(self, url: str | None = None) -> None:
        """Follow a link, if one is given, and do what each page of ours asks, until a page asks nothing."""
        partner_request = self._complete_pages(self.open(url) if url else None)
        assert partner_request is None, partner_request

    def _complete_pages(self, partner_request: PartnerRequest | None) -> PartnerRequest | None:
        for _ in range(MAX_REDIRECTS):
            if partner_request is not None:
                return partner_request
            if self.page.has("sign-in"):
                partner_request = self.sign_in()
            elif self.page.has("allow"):
                partner_request = self.allow()
            elif self.page.has("response"):
                partner_request = self.press("continue")
            else:
                return None
        raise AssertionError(f"the pages do not end: {self.page.text}")

    def visit(self, url: str) -> PartnerRequest:
        """Follow a link and do what each page asks until the partner is reached."""
        return self.continue_to_partner(self.open(url))

    def _send(
        self, method: str, url: str, form: list[tuple[str, str]] | None = None, pressed_on: Page | None = None
    ) -> PartnerRequest | None:
        assert pressed_on is None or pressed_on.allows_form_action(url), f"form-action stops {url}"
        if self._is_at_partner(url):
            self._page = None
            return PartnerRequest.from_url(method, url, form)
        response = self.session.request(method, url, data=form, allow_redirects=False, timeout=20)
        return self._follow_redirects(response, pressed_on)

    def _follow_redirects(self, response: requests.Response, pressed_on: Page | None = None) -> PartnerRequest | None:
        """Follow redirects, each of which a form's page has to allow."""
        for _ in range(MAX_REDIRECTS):
            if response.status_code not in REDIRECTS:
                self._page = Page(response.url, response.status_code, response.headers, _soup(response))
                return None
            url = urljoin(response.url, response.headers["Location"])
            assert pressed_on is None or pressed_on.allows_form_action(url), f"form-action stops {url}"
            if self._is_at_partner(url):
                self._page = None
                return PartnerRequest.from_url("GET", url)
            response = self.session.get(url, allow_redirects=False, timeout=20)
        raise AssertionError(f"too many redirects, the last to {response.url}")

    def _is_at_partner(self, url: str) -> bool:
        return self._partner_url is not None and url.startswith(f"{self._partner_url}/")


def session_trusting(certificate: str) -> requests.Session:
    """A session that trusts this certificate, whatever the environment says."""
    session = requests.Session()
    session.trust_env, session.verify = False, certificate
    return session


def _soup(response: requests.Response) -> Any:
    assert response.headers["Content-Type"].startswith(("text/html", "text/plain")), response.text
    return parse(response.text)


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def _fields(form: Any, pressed: Any) -> list[tuple[str, str]]:
    """The fields that the form sends unchanged, with the button that was pressed."""
    fields = [
        (element["name"], element.get("value", ""))
        for element in form.find_all("input")
        if element.get("type") not in {"checkbox", "radio"} or element.has_attr("checked")
    ]
    return fields + ([(pressed["name"], pressed.get("value", ""))] if pressed.get("name") else [])
