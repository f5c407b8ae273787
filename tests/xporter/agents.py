"""Schools' servers, each with a key, and the tokens that a school's administrator approves."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient
from joserfc.jwk import ECKey
from werkzeug.test import TestResponse

from idp.estabs.models import Administrator
from idp.foundation import clock, crypto
from idp.oidc.basis import Basis
from idp.oidc.clients import oauth_client
from idp.oidc.tokens import access_tokens, families
from idp.partners import registry
from idp.sharing import agreement_state, authorise
from tests.factories import a_client
from tests.oidc.devices import GRANTS
from tests.oidc.signing import Signer, thumbprint

PATH = "/api/endpoint"
XPORTER = "https://xporter.example"
SCOPES = frozenset({"endpoint", "offline_access"})
REPORT = {"name": "SERVER-1", "mis": "sims", "agent_version": "1.2.0", "platform": "Windows Server 2022"}
EXTRACT = {"id": "e1", "sent_at": "2026-09-01T06:00:00Z", "records": {"students": 612, "staff": 70}}


def register_agent_client() -> str:
    """Register the agent's client; returns its id."""
    return a_client(
        token_endpoint_auth_method="none", grant_types=GRANTS, dpop_bound_access_tokens=True,
        required_scopes=SCOPES, optional_scopes=frozenset(), client_name="XporterOnDemand",
    ).id  # fmt: skip


def register_api_client(**overrides: Any) -> str:
    """Register the protected API's client; returns its id."""
    served = frozenset({"endpoint", "school", "students", "attendance"})
    return a_client(
        resource=XPORTER, resource_scopes=served, grant_types=frozenset({"client_credentials"}),
        client_scopes=frozenset({"reads.report"}), required_scopes=frozenset(), optional_scopes=frozenset(),
        **overrides,
    ).id  # fmt: skip


@dataclass
class Agent(Signer):
    """The agent on one server: it has a key and, after a school approved it, a token."""

    dpop_key: Any = field(default_factory=lambda: ECKey.generate_key("P-256"))
    token: str = ""
    refresh_token: str = ""
    web: FlaskClient | None = None
    person_id: str = ""

    def post(self, web: FlaskClient, path: str, form: dict[str, Any], assertion: str | None = None) -> TestResponse:
        """Send a form as a public client, with a proof."""
        return web.post(path, data={"client_id": self.id, **form}, headers={"DPoP": self.proof("POST", path)})

    def request(self, method: str, *, scheme: str = "DPoP", json: Any = None, **proof: Any) -> TestResponse:
        """Send a request to `PATH` with the agent's token and a proof; options change or leave out the proof."""
        headers = {"Authorization": f"{scheme} {self.token}"}
        if proof.pop("prove", True):
            headers["DPoP"] = self.proof(method, PATH, self.token, **proof)
        assert self.web
        return self.web.open(PATH, method=method, headers=headers, json=json)

    def report(self, *, status: int = 200, **overrides: Any) -> dict[str, Any]:
        """Send a report; returns the response's document, after checking the status."""
        response = self.request("PUT", json=REPORT | overrides)
        assert response.status_code == status, response.text
        return dict(response.json)

    def get_status(self, *, status: int = 200) -> dict[str, Any]:
        """The endpoint's document, without sending a report."""
        response = self.request("GET")
        assert response.status_code == status, response.text
        return dict(response.json)

    def unregister(self, *, status: int = 204) -> None:
        """Unregister the endpoint."""
        response = self.request("DELETE")
        assert response.status_code == status, response.text

    def use_refresh_token(self) -> TestResponse:
        """Exchange the refresh token, and store the tokens of the response."""
        assert self.web
        response = self.post(
            self.web, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        )
        if response.status_code == 200:
            self.token = response.json["access_token"]
            self.refresh_token = response.json.get("refresh_token", self.refresh_token)
        return response


def give_tokens(transaction: Any, agent: Agent, person_id: str) -> None:
    """Give the agent tokens as device authorization does, under the agreement of the person's only school."""
    with transaction() as session:
        person = session.get_one(Administrator, person_id)
        membership = person.memberships[0]
        stored = registry.client(agent.id)
        assert stored
        if agreement_state.current(membership.estab_id, agent.id) is None:
            authorise.give(
                stored, SCOPES, by=membership, agreement_version=stored.agreement_version,
                until=clock.now() + timedelta(days=365), second_step=True,
            )  # fmt: skip
        state = agreement_state.current(membership.estab_id, agent.id)
        assert state
        basis = Basis(
            client_id=agent.id, person_id=person_id, estab_id=membership.estab_id, authorisation_id=state.id,
            lineage=crypto.new_id("lin"), scopes=SCOPES, resource=frozenset(), dpop_jkt=thumbprint(agent.dpop_key),
            claims=None, auth_time=clock.now(), acr="1", amr=frozenset({"pwd"}), sid="",
        )  # fmt: skip
        client, jkt = oauth_client.find(agent.id), thumbprint(agent.dpop_key)
        assert client
        agent.token = access_tokens.access_token(basis, state, client, SCOPES, jkt)
        agent.refresh_token = families.begin(basis, client, jkt)
