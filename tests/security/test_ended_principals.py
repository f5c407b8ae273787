"""S19: what each grant and endpoint answers after a person, a school, a client or a partner has ended.

CVE-2025-64521, CVE-2025-53942 (authentik), CVE-2024-47000 (Zitadel), CVE-2026-9097 (Casdoor). Codes and tokens are
obtained while all is in order; then one of them ends, and each endpoint is called once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from idp.estabs.models import Estab, Membership
from idp.foundation import clock as clocks
from idp.partners.models import Client, Partner as Company
from tests.oidc.devices import GRANT, Device, decide, enter
from tests.oidc.support import Partner, obtain_tokens, query_of, sign_in_and_authorise
from tests.oidc.world import World

SCOPE: Final = "openid offline_access school students"
GRANTS: Final = frozenset({"authorization_code", "refresh_token", "client_credentials", GRANT})


@dataclass
class Connection:
    """A school's connection to a partner, and what was obtained for it while all was in order."""

    world: World
    web: FlaskClient
    partner: Partner
    api: Partner
    """The client of a protected API, which introspects."""
    tokens: dict[str, Any]
    client_token: str
    device: Device
    """A device whose code is approved and not redeemed."""
    code: str


@pytest.fixture
def connection(world, web, new_browser, clock):
    partner = world.new_partner(grant_types=GRANTS, client_scopes=frozenset({"schools.list"}))
    partner.scope = SCOPE
    api = world.new_partner(resource="https://api.example", resource_scopes=frozenset({"students"}))
    tokens = obtain_tokens(web, partner, world.username)
    client_token = partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}).json["access_token"]
    device = Device(new_browser(), partner, SCOPE)
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"]))
    code = sign_in_and_authorise(web, partner, world.username)["code"]
    return Connection(world, web, partner, api, tokens, client_token, device, code)


def introspect(by: Partner, token: str, web: FlaskClient) -> Any:
    return by.post(web, "/oauth/introspect", {"token": token})


def get(path: str, token: str, web: FlaskClient) -> Any:
    return web.get(path, headers={"Authorization": f"Bearer {token}"})


CALLS: Final[dict[str, Callable[[Connection], Any]]] = {
    "code": lambda c: c.partner.redeem(c.web, c.code),
    "device code": lambda c: c.device.poll(),
    "refresh": lambda c: c.partner.refresh(c.web, c.tokens["refresh_token"]),
    "userinfo": lambda c: get("/oauth/userinfo", c.tokens["access_token"], c.web),
    "introspection": lambda c: introspect(c.partner, c.tokens["access_token"], c.web),
    "introspection of a refresh token": lambda c: introspect(c.partner, c.tokens["refresh_token"], c.web),
    "introspection by an API": lambda c: introspect(c.api, c.tokens["access_token"], c.web),
    "silent sign-in": lambda c: c.web.get(c.partner.link(prompt="none")),
    "client credentials": lambda c: c.partner.post(c.web, "/oauth/token", {"grant_type": "client_credentials"}),
    "introspection of a client's token": lambda c: introspect(c.partner, c.client_token, c.web),
    "API for partners": lambda c: get("/api/schools", c.client_token, c.web),
    "pushed request": lambda c: c.partner.post(c.web, "/oauth/par", dict(c.partner.parameters())),
    "device request": lambda c: c.partner.post(c.web, "/oauth/device_authorization", {"scope": SCOPE}),
}

ALL_IN_ORDER: Final = {
    "code": SCOPE, "device code": SCOPE, "refresh": SCOPE, "userinfo": "200",
    "introspection": SCOPE, "introspection of a refresh token": SCOPE, "introspection by an API": "students",
    "silent sign-in": "code",
    "client credentials": "schools.list", "introspection of a client's token": "schools.list",
    "API for partners": "200", "pushed request": "201", "device request": "200",
}  # fmt: skip
WITHOUT_IDENTITY: Final = dict.fromkeys(
    ("code", "device code", "refresh", "introspection", "introspection of a refresh token"), "school students"
) | {"userinfo": "insufficient_scope", "silent sign-in": "login_required"}  # fmt: skip
"""The school goes on sharing after the person who agreed has left."""
WITHOUT_DATA: Final = dict.fromkeys(
    ("code", "device code", "refresh", "introspection", "introspection of a refresh token"), "openid offline_access"
) | {"introspection by an API": ""}  # fmt: skip
NOTHING_OF_THE_SCHOOL: Final = {
    "code": "invalid_grant", "device code": "invalid_grant", "refresh": "invalid_grant", "userinfo": "invalid_token",
    "introspection": "inactive", "introspection of a refresh token": "inactive",
    "introspection by an API": "inactive", "silent sign-in": "login_required",
}  # fmt: skip
NOTHING_OF_THE_CLIENT: Final = dict.fromkeys(ALL_IN_ORDER, "invalid_client") | {
    "userinfo": "invalid_token", "introspection by an API": "inactive", "silent sign-in": "400",
    "API for partners": "401",
}  # fmt: skip


def change_estab(state: str) -> Callable[[Connection], None]:
    return lambda c: c.world.change(Estab, c.world.estab, state=state)


def remove_person(c: Connection) -> None:
    c.world.change(Membership, (c.world.person, c.world.estab), removed_at=clocks.now())


def disable_partner(c: Connection) -> None:
    with c.world.transaction() as session:
        partner_id = session.get_one(Client, c.partner.id).partner_id
    c.world.change(Company, partner_id, disabled_at=clocks.now())


ENDINGS: Final[dict[str, tuple[Callable[[Connection], None], dict[str, str]]]] = {
    "nothing ended": (lambda _: None, {}),
    "the person left": (remove_person, WITHOUT_IDENTITY),
    "the school is unverified": (change_estab("unverified"), WITHOUT_DATA),
    "the school is suspended": (
        change_estab("suspended"), NOTHING_OF_THE_SCHOOL | {"refresh": "access_denied"},  # it works again once restored
    ),
    "the school is closed": (change_estab("closed"), NOTHING_OF_THE_SCHOOL),
    "the school is rejected": (change_estab("rejected"), NOTHING_OF_THE_SCHOOL),
    "the client is disabled": (
        lambda c: c.world.change(Client, c.partner.id, enabled=False), NOTHING_OF_THE_CLIENT,
    ),
    "the partner is disabled": (disable_partner, NOTHING_OF_THE_CLIENT),
    "the API is disabled": (
        lambda c: c.world.change(Client, c.api.id, enabled=False), {"introspection by an API": "invalid_client"},
    ),
}  # fmt: skip
"""By name: how it ends, and the answers that differ from `ALL_IN_ORDER` afterwards."""


def summarise(response: Any) -> str:
    """The error, or the scopes that the response grants, or its status."""
    if response.status_code == 303:
        return query_of(response.location).get("error", "code")
    body = response.get_json(silent=True) or {}
    if body.get("active") is False:
        return "inactive"
    return str(body.get("error", body.get("scope", response.status_code)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_endpoint_answers_by_who_is_still_there(connection, ending):
    end, different = ENDINGS[ending]
    end(connection)
    assert {name: summarise(call(connection)) for name, call in CALLS.items()} == ALL_IN_ORDER | different
