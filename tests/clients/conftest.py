"""Assembly, with a fake provider whose responses a test sets, and its mail, which is sent by SMTP."""

import mailbox
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from argon2 import PasswordHasher

from clients.assembly import accounts, mail, web
from clients.assembly.app import create_app
from clients.assembly.applications import ASSEMBLY
from clients.assembly.settings import Settings
from tests.browser.assembly import receive_mail
from tests.clients import provider as fake

HOST = {"base_url": "http://localhost:5001"}
PASSWORD = "wobbly kettle sings"
EMAIL = "office@willowbank.example"


@pytest.fixture
def provider():
    with fake.running() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch):
    """Use the cheapest password hashes, since these tests make dozens."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(accounts, "_hasher", hasher)
    monkeypatch.setattr(accounts, "_DUMMY_HASH", hasher.hash("a password of no account"))


@pytest.fixture
def settings(provider, tmp_path):
    return Settings(ASSEMBLY, provider.issuer, "assembly", 5001, tmp_path, invite_code="WELCOME")


@pytest.fixture
def app(settings):
    return create_app(settings)


@pytest.fixture
def program(app):
    """Assembly's database, keys, provider and background thread, which tests run by `work_once()`."""
    with app.app_context():
        return web.current_program()


@pytest.fixture
def deliver_mails(tmp_path):
    """`deliver_mails(program)` sends the waiting mail, and returns the texts of all messages that arrived."""
    with receive_mail(tmp_path / "maildir") as port:

        def deliver(program):
            mail.send_due(program.database, replace(program.settings, smtp_port=port))
            folder = mailbox.Maildir(tmp_path / "maildir")
            oldest_first = sorted(folder.keys(), key=lambda key: (tmp_path / "maildir/new" / key).stat().st_mtime_ns)
            return [str(folder[key].get_payload(decode=True), "utf-8") for key in oldest_first]

        yield deliver


class Person:
    """A person with a browser, at Assembly's pages."""

    def __init__(self, app, provider):
        self.web, self.provider = app.test_client(), provider
        app.config["WTF_CSRF_ENABLED"] = False

    def open(self, path):
        return self.web.get(path, **HOST)

    def post(self, path, **fields):
        return self.web.post(path, data=fields, **HOST)

    def start_sign_in(self, path="/school-account"):
        """Start a sign-in at the provider, which records the pushed request."""
        return self.open(path)

    def sign_in(self):
        """Sign in at the provider, which responds correctly; returns the text of the connector's page."""
        self.start_sign_in()
        response = self.open(f"/callback?{self.provider.authorization_response()}")
        assert response.status_code == 303, response.text
        return self.open("/connector").text

    def sign_up(self, **overrides):
        fields = {"code": "welcome", "email": EMAIL, "password": PASSWORD, "terms": "2026-01"}
        return self.post("/sign-up", **(fields | overrides))

    def create_account(self, deliver_mails, program, *, mis="sims"):
        """Sign up, activate the account, and choose the school."""
        self.sign_up()
        self.post(link_in(deliver_mails(program)[-1]), password=PASSWORD)
        assert self.post("/school", urn=fake.URN, mis=mis).status_code == 303


def link_in(text):
    """The path of the link in a mail."""
    return urlsplit(re.findall(r"http://localhost:5001\S+", text)[0]).path


def without_tokens(page):
    """A page without its CSRF tokens, which differ each time."""
    return re.sub(r'name="csrf_token" value="[^"]*"', "", page)


def query_of(location):
    """The parameters in the query of a URL."""
    return {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
def person(app, provider):
    return Person(app, provider)
