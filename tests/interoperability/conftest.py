"""Libraries of relying parties as they are installed, in applications at their own URLs, with our provider over HTTPS.

Each is configured with issuer, client id and secret as its documentation says; nothing in it is replaced. A person's
browser is redirected from one to the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import pytest
import requests

from idp.developers.quick_starts import QuickStart
from idp.foundation.web import transactions
from tests import factories
from tests.certificates import a_certificate
from tests.conformance.browser import Browser
from tests.databases import Databases
from tests.ports import free_port
from tests.serving import a_provider, serving


@dataclass(frozen=True)
class RegisteredClient:
    """A client, with what its partner needs to configure its application."""

    client_id: str
    secret: str
    metadata: dict[str, Any]
    """Our discovery document."""


@dataclass(frozen=True)
class RunningProvider:
    """Our provider, served over HTTPS, and a person with an account there."""

    app: Any
    issuer: str
    tls: Any
    trust: str
    """The file of the certificate that its clients must trust."""
    username: str
    name: str

    def register(
        self, redirect_uri: str, extra_scopes: frozenset[str] = frozenset(), **overrides: Any
    ) -> RegisteredClient:
        """Register a client with this redirect URI, and with `extra_scopes` in addition to `SCOPES`."""
        with transactions.transaction(self.app):
            client = factories.a_client(
                redirect_uris=[redirect_uri],
                required_scopes=SCOPES | extra_scopes,
                optional_scopes=frozenset(),
                **overrides,
            )
            response = requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=20)
            return RegisteredClient(client.id, factories.secret_of(client.id), response.json())


SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@pytest.fixture(scope="session")
def served_provider(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    trust, tls = a_certificate(tmp_path_factory.mktemp("tls"))
    with a_provider(databases, tls) as (app, issuer):
        with transactions.transaction(app):
            owner = factories.an_administrator()
            running = RunningProvider(app, issuer, tls, str(trust), owner.username, owner.name)
        yield running


@pytest.fixture
def provider(served_provider: RunningProvider, monkeypatch: pytest.MonkeyPatch) -> RunningProvider:
    """The provider; `requests` trusts its certificate."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", served_provider.trust)
    return served_provider


@pytest.fixture
def browser(provider: RunningProvider) -> Browser:
    """The browser of a person with an account."""
    return Browser(provider.trust, provider.username, factories.PASSWORD)


@pytest.fixture
def visitor(provider: RunningProvider) -> Callable[[str], Browser]:
    """`visitor(url)` is a browser for a partner without a server: it stops at URLs that begin with this one."""
    return lambda url: Browser(provider.trust, provider.username, factories.PASSWORD, partner_url=url)


@pytest.fixture
def serve_at_free_port(provider: RunningProvider) -> Iterator[Callable[[Callable[[str], WSGIApplication]], str]]:
    """`serve_at_free_port(make)` serves the application `make(url)` until the test is over; returns `url`."""
    running = []

    def run(make: Callable[[str], WSGIApplication]) -> str:
        port = free_port()
        url = f"https://localhost:{port}"
        context = serving(make(url), port, provider.tls)
        context.__enter__()
        running.append(context)
        return url

    yield run
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def prepare_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[QuickStart], Path]:
    """`prepare_folder(quick_start)` makes a folder for it; the packages of a language are installed once."""
    from tests.interoperability import quick_start_sites as sites  # which imports this module

    folders: dict[str, Path] = {}

    def folder_for(quick_start: QuickStart) -> Path:
        language = quick_start.language
        if language not in folders:
            folders[language] = tmp_path_factory.mktemp(language)
            sites.prepare(quick_start, folders[language])
        if language == "Go":
            return folders[language]
        folder = folders[language] / quick_start.id
        folder.mkdir()
        return folder

    return folder_for
