"""The pages of quick starts: what is filled in, and what is refused. `tests/interoperability` runs their text."""

import json
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from idp.developers import quick_starts
from idp.foundation import runtime
from idp.partners import manifest
from tests.html import parse

ALL = list(quick_starts.catalogue())
INTEROPERABILITY = Path(__file__).parents[1] / "interoperability"
GIVEN = {"client_id": "assembly", "address": "https://assembly.example"}


@pytest.fixture
def read(web):
    """`read(path, **query)` is a page below /developers, which has this status."""

    def get(path, *, status=200, **query):
        answer = web.get(f"/developers{path}", query_string=query)
        assert answer.status_code == status, answer.text
        return parse(answer.text)

    return get


def text_of(page):
    return "\n".join(element.get_text() for element in page.find_all("pre"))


def test_the_first_page_leads_to_every_quick_start(read):
    assert read("").find("a", href="/developers/quick-starts")
    links = [element["href"] for element in read("/quick-starts").select("main li a")]
    assert sorted(links) == sorted(f"/developers/quick-starts/{one}" for one in ALL)


def test_the_software_that_partners_use_has_one():
    assert set(ALL) == {
        "aspnet", "auth-js", "authlib", "django-allauth", "express-openid-connect", "flask-dance", "go-oidc", "league",
        "mod-auth-openidc", "nimbus", "oauth2-proxy", "oidc-client-ts", "openid-client", "passport",
        "rust-openidconnect", "social-core", "spring-client", "spring-resource-server",
    }  # fmt: skip


@pytest.mark.parametrize("quick_start_id", ALL)
class TestEach:
    def test_has_the_issuer_the_client_id_and_the_address_in_it(self, app, read, quick_start_id):
        with app.app_context():
            issuer = runtime.settings().server.issuer
        text = text_of(read(f"/quick-starts/{quick_start_id}", **GIVEN))
        assert issuer in text
        assert "assembly" in text
        assert "https://assembly.example" in text or quick_starts.find(quick_start_id).not_run
        assert quick_starts.CLIENT_ID not in text
        assert quick_starts.ADDRESS not in text

    def test_has_placeholders_until_something_is_filled_in(self, read, quick_start_id):
        text = text_of(read(f"/quick-starts/{quick_start_id}"))
        assert quick_starts.CLIENT_ID in text

    def test_reads_its_secret_from_the_environment(self, read, quick_start_id):
        quick_start = quick_starts.find(quick_start_id)
        text = text_of(read(f"/quick-starts/{quick_start_id}", **GIVEN))
        assert all(name in text for name in quick_start.environment)
        is_public = quick_start.registration.get("token_endpoint_auth_method") == "none"
        assert is_public or not quick_start.start or "CLIENT_SECRET" in quick_start.environment

    def test_its_registration_is_one_that_we_accept(self, app, read, quick_start_id):
        page = read(f"/quick-starts/{quick_start_id}", **GIVEN)
        part = tomllib.loads(page.find(id="registration").get_text())
        about = {
            "partner": "Assembly", "client_name": "Assembly", "client_uri": "https://assembly.example",
            "policy_uri": "https://assembly.example/p", "agreement_uri": "https://assembly.example/a",
            "agreement_version": "1", "purpose": "To see that the registration is accepted.",
        }  # fmt: skip
        with app.app_context():
            parsed = manifest.parse_manifest({**part, **about})
        assert parsed.require_pkce
        assert parsed.client_id == "assembly"


def test_the_packages_in_node_are_those_that_are_locked():
    locked = json.loads((INTEROPERABILITY / "node" / "package.json").read_text("utf-8"))["dependencies"]
    shown = {
        package
        for one in quick_starts.catalogue().values()
        if one.language == "JavaScript" and not one.not_run
        for package in one.packages
    }
    assert shown == {f"{name}@{version}" for name, version in locked.items()}


def test_the_modules_in_go_are_those_that_are_locked():
    required = (INTEROPERABILITY / "go" / "go.mod").read_text("utf-8").replace(" v", "@v")
    packages = [package.replace("/oidc@", "@") for package in quick_starts.find("go-oidc").packages]
    assert packages
    assert all(package in required for package in packages)


def test_the_packages_in_python_are_those_that_our_tests_install():
    shown = {
        tuple(package.split("=="))
        for one in quick_starts.catalogue().values()
        if one.language == "Python"
        for package in one.packages
    }
    assert shown
    assert {(name, version(name)) for name, _ in shown} == shown


@pytest.mark.parametrize("quick_start_id", ALL)
def test_the_command_that_installs_names_every_package(quick_start_id):
    one = quick_starts.find(quick_start_id)
    assert all(part in one.install for package in one.packages for part in package.split("=="))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://assembly.example", "must be https"),
        ("https://assembly.example/callback", "must end after the host and port"),
        ("https://assembly.example?x=1", "must end after the host and port"),
        ("ftp://assembly.example", "must be https"),
        ("https://user@assembly.example", "must not have a user name"),
        ("https://assembly.example:0", "invalid port"),
        ("not an address", "has a character"),
        ("https://assembly.example/" + "x" * 400, "That is too long"),
    ],
)
def test_an_address_that_cannot_be_filled_in_is_refused_and_nothing_typed_is_lost(read, address, reason):
    page = read("/quick-starts/openid-client", status=422, client_id="assembly", address=address)
    assert reason in page.find(class_="error-summary").get_text()
    assert page.find(id="address")["value"] == address
    assert page.find(id="client_id")["value"] == "assembly"


@pytest.mark.parametrize(
    "client_id", ["<script>alert(1)</script>", "it's", 'a"b', "a b", "é", "a\\", "${a}", "x" * 300]
)
def test_a_client_id_that_needs_escaping_somewhere_is_refused(read, client_id):
    page = read("/quick-starts/openid-client", status=422, client_id=client_id)
    assert page.find(class_="error-summary")
    assert client_id not in text_of(page)
    assert page.find("script", string=lambda text: bool(text) and "alert" in text) is None


def test_a_slash_after_the_address_does_not_matter(read):
    with_slash = text_of(read("/quick-starts/openid-client", address="https://assembly.example/"))
    assert with_slash == text_of(read("/quick-starts/openid-client", address="https://assembly.example"))


def test_what_was_filled_in_goes_along_to_the_others(read):
    back = read("/quick-starts/openid-client", **GIVEN).find("a", string="Other software")["href"]
    assert back == "/developers/quick-starts?client_id=assembly&address=https://assembly.example"
    (onward,) = (element["href"] for element in read("/quick-starts", **GIVEN).select("a[href*=go-oidc]"))
    assert "client_id=assembly" in onward


def test_there_is_none_for_unknown_software(read):
    assert "no quick start for that software" in read("/quick-starts/nothing", status=404).get_text()


def test_a_table_is_written_as_toml():
    table = {"a": 'it\'s "so" \\ é', "b": True, "c": ["x", "y"], "d": {"e": [], "f": {"g": "h"}}}
    assert tomllib.loads(quick_starts.to_toml(table)) == table


def test_behind_a_proxy_that_does_tls_it_listens_on_this_machine(read):
    page = read("/quick-starts/openid-client", **GIVEN)
    assert "app.listen(3000, '127.0.0.1')" in text_of(page)
    assert "'trust proxy'" in text_of(page)
    assert "127.0.0.1:3000" in page.find("main").get_text()


def test_on_ones_own_machine_it_listens_at_its_address(read):
    text = text_of(read("/quick-starts/openid-client", address="http://127.0.0.1:4000"))
    assert "app.listen(4000, '127.0.0.1')" in text
    assert "'trust proxy'" not in text
