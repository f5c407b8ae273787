"""One application with a few rows for each file of fuzzers; the database is not restored between examples."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis.statistics import collector

from idp.foundation import clock as clocks, database
from idp.foundation.web import security, transactions
from idp.partners.models import ClientSecret
from tests import factories
from tests.conftest import MONDAY, a_browser, clear_caches
from tests.fuzz.profiles import PROFILE
from tests.fuzz.responses import LogRecorder, recorded_log
from tests.oidc import devices, registering, signing
from tests.oidc.support import Partner, obtain_tokens, sign_in_and_authorise

GRANTS = frozenset({"authorization_code", "refresh_token", "client_credentials", devices.GRANT})


@dataclass(repr=False)
class FuzzTarget:
    """A school whose owner is signed in at `web`, and clients of every kind."""

    app: Any
    settings: Any
    web: Any
    transaction: Callable[[], Any]
    log: LogRecorder
    username: str
    partner: Partner
    signer: signing.Signer
    initial_token: str
    tokens: dict[str, Any]
    """The token response of the partner, made once."""
    registration: dict[str, Any]
    session: str
    """The value of the session cookie of `web`."""

    def _repr_pretty_(self, printer: Any, _cycle: Any) -> None:
        printer.text("target")  # its full text would be most of Hypothesis's output

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that no response may contain, since no fuzzed request is entitled to them; nor may the log."""
        tokens = (self.tokens["access_token"], self.tokens["refresh_token"])
        own = (self.registration["client_secret"], self.initial_token, self.session)
        return (str(self.partner.secret), factories.PASSWORD, *tokens, *own)

    def browser(self) -> Any:
        """Another browser."""
        return a_browser(self.app, self.settings)

    def code(self) -> str:
        """A new code, not redeemed."""
        return sign_in_and_authorise(self.web, self.partner, self.username)["code"]


@pytest.fixture(scope="module")
def module_transaction(session_app, databases) -> Iterator[Callable[[], Any]]:
    """Like `transaction`, for all tests of a module: the database is restored once, before the first of them."""
    databases.restore(session_app)
    clear_caches(session_app)

    @contextmanager
    def transaction() -> Iterator[Any]:
        with transactions.transaction(session_app):
            yield database.session()

    with clocks.fixed(MONDAY):
        yield transaction


@pytest.fixture(scope="module")
def target(module_transaction, session_app, settings) -> Iterator[FuzzTarget]:
    with module_transaction() as session:
        username = factories.an_administrator().username
        partner = Partner(factories.a_client(grant_types=GRANTS, client_scopes=frozenset({"schools.list"})).id)
        key = signing.key("ES256")
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=signing.jwks(key), grant_types=GRANTS,
            client_scopes=frozenset({"schools.list"}),
        )  # fmt: skip
        session.query(ClientSecret).filter_by(client_id=client.id).delete()
        signer = signing.Signer(client.id)
        initial = registering.an_initial_token()
    web = a_browser(session_app, settings)
    registration = registering.Registrar(web, initial).registered()
    with recorded_log() as log:
        tokens = obtain_tokens(web, partner, username, "attendance")
        yield FuzzTarget(
            session_app, settings, web, module_transaction, log, username, partner, signer, initial, tokens,
            registration,
            web.get_cookie(security.cookie_name(settings, "session")).value,
        )  # fmt: skip


class Tally:
    """Counts the examples that this run tried."""

    tried = 0


@pytest.hookimpl(wrapper=True, trylast=True)  # inside Hypothesis's own wrapper, which collects for its statistics
def pytest_runtest_call():
    limit: Any = collector.value

    def collect(stats):
        Tally.tried += sum(len(phase["test-cases"]) for phase in stats.values() if "test-cases" in phase)
        if limit:
            limit(stats)

    with collector.with_value(collect):
        return (yield)


def pytest_collection_modifyitems(config, items):
    """In long runs, shuffle the fuzzers, so that it is not always the same one that is cut short at the end. Ordinary
    tests come first, because a fuzzer may use up what they need.
    """
    if PROFILE == "long":
        random.Random(config.getoption("--hypothesis-seed")).shuffle(items)
        items.sort(key=lambda item: hasattr(item.obj, "hypothesis"))


def pytest_terminal_summary(terminalreporter):
    if PROFILE == "long":
        terminalreporter.write_line(f"\n{Tally.tried} examples")
