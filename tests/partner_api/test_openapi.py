"""The description of the API is made from its types, is valid, and agrees with the running server."""

import re
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from idp.foundation.web import transactions
from idp.partner_api.operations import OPERATIONS
from idp.partners import event_types
from tests.factories import a_client, secret_of
from tests.html import parse
from tests.serving import a_provider

EXCLUDED_FOR_POST = [positive_data_acceptance]
"""A generated document fits its schema, and is refused with 422 because there is no such school."""


class DescribedApi(NamedTuple):
    """The description of the API, and an access token."""

    schema: Any
    token: str


@pytest.fixture(scope="module")
def api(databases):
    """The description of a running server, and an access token of a client."""
    with a_provider(databases) as (app, issuer):
        with transactions.transaction(app):
            client = a_client(
                grant_types=frozenset({"client_credentials"}),
                client_scopes=frozenset({"schools.list", "invitations", "events"}),
                events_method=event_types.POLL,
            ).id
        form = {"grant_type": "client_credentials", "scope": "schools.list invitations events"}
        response = requests.post(f"{issuer}/oauth/token", form, auth=(client, secret_of(client)), timeout=20)
        token = response.json()["access_token"]
        yield DescribedApi(schemathesis.openapi.from_url(f"{issuer}/api/openapi.json"), token)


def test_every_operation_responds_to_generated_requests_as_described(api):
    schema, token = api
    called = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        called.add(operation.definition.raw["operationId"])

        @given(case=operation.as_strategy())
        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            excluded = EXCLUDED_FOR_POST if case.method == "POST" else []
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)

        check()
    assert called == set(OPERATIONS)


def test_every_path_of_the_api_is_described(app):
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    not_described = {"/api/openapi.json", "/api/<path:_path>"}
    described = app.test_client().get("/api/openapi.json", base_url="http://localhost:5000").json["paths"]
    assert {re.sub(r"<(\w+)>", r"{\1}", path) for path in paths - not_described} == set(described)


def test_discovery_names_the_page_for_people(web):
    url = web.get("/.well-known/openid-configuration").json["service_documentation"]
    assert parse(web.get(url).text).find("h1").text == "API for partners"


def test_the_page_for_people_names_every_operation_field_and_parameter(web):
    document = web.get("/api/openapi.json").json
    page = parse(web.get("/api").text)
    shown = {code.get_text() for code in page.find_all("code")}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in shown
            assert {parameter["name"] for parameter in operation["parameters"]} <= shown
            assert page.find("a", href=f"#{operation['operationId']}")
    for schema in document["components"]["schemas"].values():
        assert set(schema["properties"]) <= shown
    assert "every sandbox application" in page.find(id="registered").get_text()
    links = {element["href"] for element in page.select("main a[href^='#']")}
    assert links <= {f"#{element['id']}" for element in page.find_all(id=True)}
