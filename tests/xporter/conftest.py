"""A school, and agents on its servers."""

from typing import NamedTuple

import pytest

from tests import factories
from tests.xporter.agents import Agent, give_tokens, the_agents_client, the_api


class ClientIds(NamedTuple):
    """Ids of the agent's client, and of the protected API's."""

    agent: str
    api: str


@pytest.fixture
def clients(transaction, clock):
    """The ids of the agent's client and of the protected API's."""
    with transaction():
        return ClientIds(the_agents_client(), the_api())


@pytest.fixture
def new_agent(transaction, web, clients):
    """Connect a server to the only school of a person; by default a new school."""

    def make(person_id: str = "", **school) -> Agent:
        if not person_id:
            with transaction():
                person_id = factories.an_administrator(factories.an_estab(**school)).id
        agent = Agent(clients.agent, secret="none", web=web)
        agent.person_id = person_id
        give_tokens(transaction, agent, person_id)
        return agent

    return make


@pytest.fixture
def agent(new_agent) -> Agent:
    return new_agent()
