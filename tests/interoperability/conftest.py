"""Relying parties as they are installed, at their own addresses, with our provider served over HTTPS.

Each is configured with issuer, client id and secret as its documentation says; nothing in it is
replaced. A person's browser goes from one to the other.
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
class Registered:
    """A registered client, as its partner knows it."""

    client_id: str
    secret: str
    metadata: dict[str, Any]
    """Our discovery document."""


@dataclass(frozen=True)
class Scene:
    """The served provider, and a person with an account."""

    app: Any
    issuer: str
    tls: Any
    trust: str
    username: str
    name: str

    def register(self, redirect_uri: str, also: frozenset[str] = frozenset(), **overrides: Any) -> Registered:
        """A client with this redirect URI, and with the scopes `also` besides the usual ones."""
        with transactions.transaction(self.app):
            client = factories.a_client(
                redirect_uris=[redirect_uri], required_scopes=SCOPES | also, optional_scopes=frozenset(), **overrides
            )
            response = requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=20)
            return Registered(client.id, factories.secret_of(client.id), response.json())


SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@pytest.fixture(scope="session")
def served(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    trust, tls = a_certificate(tmp_path_factory.mktemp("tls"))
    with a_provider(databases, tls) as (app, issuer):
        with transactions.transaction(app):
            owner = factories.an_administrator()
            scene = Scene(app, issuer, tls, str(trust), owner.username, owner.name)
        yield scene


@pytest.fixture
def scene(served: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The provider; `requests` trusts its certificate."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", served.trust)
    return served


@pytest.fixture
def browser(scene: Scene) -> Browser:
    """The browser of a person with an account."""
    return Browser(scene.trust, scene.username, factories.PASSWORD)


@pytest.fixture
def visitor(scene: Scene) -> Callable[[str], Browser]:
    """`visitor(address)` is a browser for a partner without a server: it stops at addresses below this one."""
    return lambda address: Browser(scene.trust, scene.username, factories.PASSWORD, partner_url=address)


@pytest.fixture
def on_a_port(scene: Scene) -> Iterator[Callable[[Callable[[str], WSGIApplication]], str]]:
    """`on_a_port(make)` serves `make(address)` at the address it returns, until the test is over."""
    running = []

    def run(make: Callable[[str], WSGIApplication]) -> str:
        port = free_port()
        address = f"https://localhost:{port}"
        context = serving(make(address), port, scene.tls)
        context.__enter__()
        running.append(context)
        return address

    yield run
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[QuickStart], Path]:
    """`prepared(quick_start)` is a folder for it; the packages of a language are installed once."""
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
