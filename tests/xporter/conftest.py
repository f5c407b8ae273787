"""A school, and agents on its servers."""

from typing import NamedTuple

import pytest

from tests import factories
from tests.xporter.agents import Agent, give_tokens, register_agent_client, register_api_client


class ClientIds(NamedTuple):
    """Ids of the agent's client, and of the protected API's."""

    agent: str
    api: str


@pytest.fixture
def clients(transaction, clock):
    """The agent's client and the protected API's, which are registered."""
    with transaction():
        return ClientIds(register_agent_client(), register_api_client())


@pytest.fixture
def new_agent(transaction, web, clients):
    """`new_agent(person_id)` connects a server to the person's only school; `new_agent()` to a new school."""

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
    """The agent on the server of a new school."""
    return new_agent()
