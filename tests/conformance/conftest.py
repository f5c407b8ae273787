"""Our copy of the OpenID Foundation's conformance plans: one test for each module, over HTTPS, against the served
provider.

Each file is a plan: `PLAN` is its name, `MODULE` the name of its modules, with {} in the place of the test's name.
Every test names its requirement by `@pytest.mark.spec(specification, section, requirement=…)`; `--matrix FILE`
writes a table of all requirements and results.
"""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from joserfc.jwk import KeySet

from clients.xporter.app import create_app
from clients.xporter.settings import Settings
from idp.foundation import clock as clocks
from idp.foundation.web import transactions
from tests import factories
from tests.certificates import a_certificate
from tests.conformance.browser import Browser, session_trusting
from tests.conformance.fapi import FapiClient
from tests.conformance.matrix import Matrix
from tests.conformance.relying_party import Provider, RelyingParty
from tests.conformance.suite import prepare
from tests.conformance.suite.prepare import Credentials, Prepared
from tests.databases import Databases
from tests.oidc.receiving import Receiver, a_receiver
from tests.ports import free_port
from tests.serving import a_provider, serving

SUITE = "/test/a/idaas"

Wait = Callable[[float], None]
MakeClient = Callable[..., RelyingParty]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", metavar="FILE", help="write which requirement is met, as Markdown, to this file")


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("--matrix"):
        config.pluginmanager.register(Matrix(file))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The certificate of the provider and of the suite: its file, which clients trust, and the context of servers."""
    return a_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def suite(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[Receiver]:
    """A server at the suite's URLs, which receives logout tokens; browsers stop before they reach it."""
    with a_receiver(f"{SUITE}/backchannel_logout", certificate[1]) as receiver:
        yield receiver


class ServedSuite(NamedTuple):
    """The application, its issuer, the file of its certificate, and the clients that were registered."""

    app: Any
    issuer: str
    certificate: str
    prepared: Prepared


@pytest.fixture(scope="session")
def served(databases: Databases, certificate: tuple[Path, ssl.SSLContext], suite: Receiver) -> Iterator[ServedSuite]:
    """The provider, over HTTPS, with the clients that `tests.conformance.suite` registers."""
    trust, tls = certificate
    with a_provider(databases, tls, fetch={"extra_ca": str(trust)}) as (app, issuer):
        with transactions.transaction(app):
            factories.a_school()
            api = f"https://localhost:{free_port()}"
            prepared = prepare.prepare_all(suite.uri.removesuffix("/backchannel_logout"), api)
        yield ServedSuite(app, issuer, str(trust), prepared)


@pytest.fixture(scope="session")
def xporter(
    served: ServedSuite,
    certificate: tuple[Path, ssl.SSLContext],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The URL to call at XporterOnDemand, which is served beside the provider and uses its clock."""
    _, issuer, trust, prepared = served
    port, folder = int(prepared.api.rpartition(":")[2]), tmp_path_factory.mktemp("xporter")
    # Modules check at once whether a token has ended; in the real suite, a second passes between two requests.
    settings = Settings(issuer, "xporter", prepared.api, port, folder, cache_seconds=0)
    api = create_app(settings, http=session_trusting(trust), now=lambda: clocks.now().timestamp())
    with serving(api, port, certificate[1]):
        yield f"{prepared.api}/access"
    api.extensions["xporter"].close()


@pytest.fixture
def provider(served: ServedSuite) -> Provider:
    """The provider; each module reads its discovery document and keys again."""
    return Provider(served.issuer, served.certificate)


@pytest.fixture
def prepared(served: ServedSuite) -> Prepared:
    return served.prepared


_latest = [datetime.now(UTC)]


@pytest.fixture(autouse=True)
def wait() -> Iterator[Wait]:
    """`wait(30)` moves the provider's clock on by half a minute. Otherwise it is stopped.

    It moves on from one test to the next, so that what was agreed in one test is in the past in the next.
    """
    with clocks.fixed(max(datetime.now(UTC), _latest[0] + timedelta(seconds=1))):
        yield lambda seconds: clocks.move(timedelta(seconds=seconds))
        _latest[0] = clocks.now()


@pytest.fixture
def a_browser(served: ServedSuite) -> Callable[[], Browser]:
    """Another browser, with cookies of its own."""
    prepared = served.prepared
    return lambda: Browser(served.certificate, prepared.username, prepared.password, partner_url=prepared.suite)


@pytest.fixture
def browser(a_browser: Callable[[], Browser]) -> Browser:
    return a_browser()


@pytest.fixture
def response_mode() -> str | None:
    """The response mode of every authorization request of the plan; a plan may override it."""
    return None


@pytest.fixture
def a_client(provider: Provider, prepared: Prepared, response_mode: str | None) -> MakeClient:
    """`a_client("conf-basic-1")` is the relying party of that name."""

    def make(client_id: str = "conf-basic-1", **overrides: Any) -> RelyingParty:
        common_parameters = {"response_mode": response_mode} if response_mode else {}
        method = "client_secret_post" if "post" in client_id else "client_secret_basic"
        defaults = {
            "redirect_uri": f"{prepared.suite}/callback",
            "method": method,
            "common_parameters": common_parameters,
        }
        return RelyingParty(provider, prepared.clients[client_id], **{**defaults, **overrides})

    return make


@pytest.fixture(scope="session")
def signers(served: ServedSuite) -> dict[str, Any]:
    """The private keys of the suite's clients that have some, read once: an RSA key takes its time."""
    clients = served.prepared.clients
    return {name: KeySet.import_key_set(row.keys).keys[0] for name, row in clients.items() if row.keys}


@pytest.fixture
def a_fapi_client(provider: Provider, prepared: Prepared, signers: dict[str, Any]) -> Callable[..., FapiClient]:
    """`a_fapi_client("conf-fapi-1", scope="openid")` is the client of that name, with a new key to bind tokens to."""

    def make(client_id: str, **overrides: Any) -> FapiClient:
        defaults = {"redirect_uri": f"{prepared.suite}/callback", "signer": signers[client_id]}
        return FapiClient(provider, prepared.clients[client_id], **{**defaults, **overrides})

    return make


@pytest.fixture
def register(provider: Provider, prepared: Prepared) -> Callable[..., requests.Response]:
    """`register(client_name="x")` registers a client as the suite does, with its initial access token or another."""

    def send(token: str = prepared.initial_token, /, **overrides: Any) -> requests.Response:
        defaults = {
            "client_name": "Conformance suite", "grant_types": ["authorization_code"], "response_types": ["code"],
            "redirect_uris": [f"{prepared.suite}/callback"], "token_endpoint_auth_method": "client_secret_basic",
            "contacts": ["certification@openid.example"],
        }  # fmt: skip
        metadata = {name: value for name, value in {**defaults, **overrides}.items() if value is not None}
        authorised = {"Authorization": f"Bearer {token}"}
        url = provider.metadata["registration_endpoint"]
        return provider.http.post(url, json=metadata, headers=authorised, timeout=20)

    return send


@pytest.fixture
def a_registered_client(
    provider: Provider, register: Callable[..., requests.Response], response_mode: str | None
) -> MakeClient:
    """`a_registered_client(client_name="x")` is a relying party that registered itself just now."""

    def make(**overrides: Any) -> RelyingParty:
        response = register(**overrides)
        assert response.status_code == 201, response.text
        registration = response.json()
        credentials = Credentials(registration["client_id"], registration.get("client_secret"), None)
        return RelyingParty(
            provider, credentials, registration["redirect_uris"][0], method=registration["token_endpoint_auth_method"],
            alg=registration["id_token_signed_response_alg"], metadata=registration,
            common_parameters={"response_mode": response_mode} if response_mode else {},
        )  # fmt: skip

    return make


@pytest.fixture
def registered(served: ServedSuite, provider: Provider, prepared: Prepared) -> MakeClient:
    """`registered(accepted_mis=…)` is another client of the provider, by default without PKCE."""

    def make(**overrides: Any) -> RelyingParty:
        defaults = {"redirect_uris": [f"{prepared.suite}/callback"], "require_pkce": False}
        with transactions.transaction(served.app):
            client = factories.a_client(**{**defaults, **overrides})
        credentials = Credentials(client.id, factories.secret_of(client.id), None)
        return RelyingParty(provider, credentials, client.redirect_uris[0])

    return make


@pytest.fixture
def client(a_client: MakeClient) -> RelyingParty:
    """The relying party of a module that needs only one."""
    return a_client()
