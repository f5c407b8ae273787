"""An endpoint, a client whose events are pushed to it, and schools."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from idp.foundation.database import session
from idp.keys import ring
from idp.partner_events import deliver, queue
from idp.partner_events.facts import VerificationFacts
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partners import event_types
from idp.partners.models import Client
from idp.sharing import authorise
from tests.factories import a_client, an_administrator, an_estab
from tests.partner_events.receiving import an_endpoint


@pytest.fixture
def endpoint():
    with an_endpoint() as listener:
        yield listener


@pytest.fixture
def other_endpoint():
    with an_endpoint() as listener:
        yield listener


@pytest.fixture
def make_stream(transaction):
    """`make_stream(url)` is a new client whose events are pushed there."""

    def make(url, **overrides):
        with transaction():
            return a_client(events_method=event_types.PUSH, events_endpoint_url=url, **overrides).id

    return make


@pytest.fixture
def client_id(make_stream, endpoint):
    """The id of a client whose events are pushed to `endpoint`."""
    return make_stream(endpoint.url)


@dataclass
class School:
    """An estab, its owner, and what they decide about a client; each decision in a transaction of its own.

    `estab_id` is the key of the row, `public_id` the Estab ID that partners see.
    """

    transaction: Any
    client_id: str
    estab_id: str = ""
    public_id: str = ""
    owner: Any = field(default=None)

    def give(self, scopes=None, client_id=None):
        """Authorise the client, as the owner does."""
        with self.transaction():
            client = session().get_one(Client, client_id or self.client_id)
            scopes = frozenset(scopes) if scopes is not None else client.required_scopes
            return authorise.give(
                client, scopes, by=self._by(), agreement_version=client.agreement_version, offered=client.scopes,
                until=authorise.default_end(client), second_step=True,
            )  # fmt: skip

    def decide(self, act, *args, **options):
        """`decide(authorise.pause)` pauses sharing with the client, as the owner does."""
        with self.transaction():
            return act(self.estab_id, self.client_id, *args, by=self._by(), **options)

    def _by(self):
        session().add(self.owner)
        return self.owner.memberships[0]


@pytest.fixture
def new_school(transaction, client_id):
    """`new_school()` is a new verified school, which can decide about the client."""

    def make(**overrides):
        with transaction():
            estab = an_estab(**overrides)
            return School(transaction, client_id, estab.id, estab.estab_id, an_administrator(estab))

    return make


@pytest.fixture
def school(new_school):
    return new_school()


@pytest.fixture
def keys(transaction):
    """The keys that we publish."""
    with transaction():
        return json.loads(ring.jwks()[0])


@pytest.fixture
def push(transaction):
    """`push()` delivers the events that are due, in both lanes; returns how many there were."""

    def run(*lanes):
        return sum(deliver.run_once(transaction, lane) for lane in lanes or ("prompt", "slow"))

    return run


@pytest.fixture
def record_event(transaction, client_id):
    """`record_event("subject", "state")` records an event about a subject; returns its `jti`."""

    def write(subject="one", state="", client=client_id):
        with transaction():
            facts = VerificationFacts(state=state)
            return queue.record("verification", client_id=client, subject=subject, facts=lambda _client: facts)

    return write


@pytest.fixture
def row(transaction):
    """`row(jti)` is the row of an event."""

    def read(event_id):
        with transaction() as database:
            return database.scalars(select(PartnerEvent).where(PartnerEvent.id == event_id)).one()

    return read


@pytest.fixture
def stream(transaction, client_id):
    """`stream()` is the row with the state of the client's delivery."""

    def read(client=client_id):
        with transaction() as database:
            return database.get_one(EventStream, client)

    return read
