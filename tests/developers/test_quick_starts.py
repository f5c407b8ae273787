"""The pages of quick starts: what is filled in, and what is refused. `tests/interoperability` runs their code."""

import contextlib
import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT, assertion
from sqlalchemy import select

from idp.developers import quick_starts
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.oidc.clients import client_assertion
from idp.partners import manifest
from idp.partners.models import Client
from tests.html import parse
from tests.oidc.support import ISSUER

QUICK_START_IDS = list(quick_starts.catalogue())
INTEROPERABILITY = Path(__file__).parents[1] / "interoperability"
QUERY = {"client_id": "assembly", "address": "https://assembly.example"}


@pytest.fixture
def read(web):
    """`read(path, **query)` returns a page below /developers, and asserts its status."""

    def get(path, *, status=200, **query):
        response = web.get(f"/developers{path}", query_string=query)
        assert response.status_code == status, response.text
        return parse(response.text)

    return get


def code_on(page):
    """The code on the page."""
    return "\n".join(element.get_text() for element in page.find_all("pre"))


def test_the_first_page_leads_to_every_quick_start(read):
    assert read("").find("a", href="/developers/quick-starts")
    links = [element["href"] for element in read("/quick-starts").select("main li a")]
    assert sorted(links) == sorted(f"/developers/quick-starts/{quick_start_id}" for quick_start_id in QUICK_START_IDS)


def test_there_is_a_quick_start_for_each_software_that_partners_use():
    assert set(QUICK_START_IDS) == {
        "aspnet", "auth-js", "authlib", "authlib-key", "django-allauth", "express-openid-connect", "flask-dance",
        "go-oidc", "league", "mod-auth-openidc", "nimbus", "oauth2-proxy", "oidc-client-ts", "openid-client",
        "openid-client-fapi2", "passport", "rust-openidconnect", "social-core", "spring-client",
        "spring-resource-server",
    }  # fmt: skip


@pytest.mark.parametrize("quick_start_id", QUICK_START_IDS)
class TestEach:
    def test_has_the_issuer_the_client_id_and_the_url_in_it(self, app, read, quick_start_id):
        with app.app_context():
            issuer = runtime.settings().server.issuer
        text = code_on(read(f"/quick-starts/{quick_start_id}", **QUERY))
        assert issuer in text
        assert "assembly" in text
        assert "https://assembly.example" in text or quick_starts.find(quick_start_id).not_run
        assert quick_starts.CLIENT_ID not in text
        assert quick_starts.ADDRESS not in text

    def test_has_placeholders_until_something_is_filled_in(self, read, quick_start_id):
        text = code_on(read(f"/quick-starts/{quick_start_id}"))
        assert quick_starts.CLIENT_ID in text

    def test_reads_its_secret_from_the_environment(self, read, quick_start_id):
        quick_start = quick_starts.find(quick_start_id)
        text = code_on(read(f"/quick-starts/{quick_start_id}", **QUERY))
        assert all(name in text for name in quick_start.environment)
        is_public = quick_start.registration.get("token_endpoint_auth_method") == "none"
        has_none = is_public or quick_start.has_key or not quick_start.start
        assert has_none or "CLIENT_SECRET" in quick_start.environment

    def test_its_registration_is_one_that_we_accept(self, app, read, quick_start_id):
        page = read(f"/quick-starts/{quick_start_id}", **QUERY)
        part = tomllib.loads(page.find(id="registration").get_text())
        required_texts = {
            "partner": "Assembly", "client_name": "Assembly", "client_uri": "https://assembly.example",
            "policy_uri": "https://assembly.example/p", "agreement_uri": "https://assembly.example/a",
            "agreement_version": "1", "purpose": "To see that the registration is accepted.",
        }  # fmt: skip
        with app.app_context():
            parsed = manifest.parse_manifest({**part, **required_texts})
        assert parsed.require_pkce
        assert parsed.client_id == "assembly"


def test_the_packages_in_node_are_those_that_are_locked():
    locked = json.loads((INTEROPERABILITY / "node" / "package.json").read_text("utf-8"))["dependencies"]
    shown = {
        package
        for quick_start in quick_starts.catalogue().values()
        if quick_start.language == "JavaScript" and not quick_start.not_run
        for package in quick_start.packages
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
        for quick_start in quick_starts.catalogue().values()
        if quick_start.language == "Python"
        for package in quick_start.packages
    }
    assert shown
    assert {(name, version(name)) for name, _ in shown} == shown


@pytest.mark.parametrize("quick_start_id", QUICK_START_IDS)
def test_the_command_that_installs_names_every_package(quick_start_id):
    quick_start = quick_starts.find(quick_start_id)
    assert all(part in quick_start.install for package in quick_start.packages for part in package.split("=="))


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
def test_an_invalid_url_is_refused_and_what_was_typed_stays_in_the_form(read, address, reason):
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
    assert client_id not in code_on(page)
    assert page.find("script", string=lambda text: bool(text) and "alert" in text) is None


def test_a_slash_after_the_url_does_not_matter(read):
    with_slash = code_on(read("/quick-starts/openid-client", address="https://assembly.example/"))
    assert with_slash == code_on(read("/quick-starts/openid-client", address="https://assembly.example"))


def test_values_filled_in_are_kept_in_links_to_other_quick_starts(read):
    back = read("/quick-starts/openid-client", **QUERY).find("a", string="Other software")["href"]
    assert back == "/developers/quick-starts?client_id=assembly&address=https://assembly.example"
    (onward,) = (element["href"] for element in read("/quick-starts", **QUERY).select("a[href*=go-oidc]"))
    assert "client_id=assembly" in onward


def test_unknown_software_has_no_quick_start(read):
    assert "no quick start for that software" in read("/quick-starts/nothing", status=404).get_text()


def test_a_table_is_written_as_toml():
    table = {"a": 'it\'s "so" \\ é', "b": True, "c": ["x", "y"], "d": {"e": [], "f": {"g": "h"}}}
    assert tomllib.loads(quick_starts.to_toml(table)) == table


def test_a_program_behind_a_proxy_for_tls_listens_on_the_local_interface_only(read):
    page = read("/quick-starts/openid-client", **QUERY)
    assert "app.listen(3000, '127.0.0.1')" in code_on(page)
    assert "'trust proxy'" in code_on(page)
    assert "127.0.0.1:3000" in page.find("main").get_text()


def test_a_program_for_a_local_url_listens_at_the_port_of_the_url(read):
    text = code_on(read("/quick-starts/openid-client", address="http://127.0.0.1:4000"))
    assert "app.listen(4000, '127.0.0.1')" in text
    assert "'trust proxy'" not in text


class TestKey:
    @pytest.fixture
    def printed(self, read, tmp_path):
        """The output of the program that makes the key pair."""
        page = read("/quick-starts/authlib-key")
        (tmp_path / "make_key.py").write_text(page.find(id="key-file-1").get_text(), "utf-8")
        program = [sys.executable, "make_key.py"]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    def test_the_printed_key_can_be_registered_and_the_assertions_of_the_page_are_accepted(
        self, developer, read, web, printed, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(assertion, "time", SimpleNamespace(time=clock.timestamp))
        form = {"name": "Trial", "software": "authlib-key", "address": "http://localhost:3000", "jwks": printed}
        developer.open("/developers/sandbox/applications/new")
        developer.post("/developers/sandbox/applications/new", security="", **form)
        client_id = developer.page.find(id="client-id").text
        assert developer.page.find(id="client-secret") is None

        site = run_page(read("/quick-starts/authlib-key", client_id=client_id), tmp_path)
        response = redeem(web, site["SignedByKey"](), client_id)
        assert response.json == {"error": "invalid_grant", "error_description": "code: unknown"}

        too_long = redeem(web, PrivateKeyJWT(alg="ES256"), client_id, site["KEY"])
        assert too_long.json["error"] == "invalid_client"
        assert "at most 600 are accepted" in too_long.json["error_description"]

    @pytest.mark.parametrize("software", ["authlib-key", "openid-client-fapi2"])
    def test_an_application_for_software_that_signs_is_not_made_without_a_key(self, developer, transaction, software):
        form = {"name": "Trial", "software": software, "address": "https://assembly.example", "security": ""}
        developer.open("/developers/sandbox/applications/new")
        developer.post("/developers/sandbox/applications/new", **form)
        assert developer.response.status_code == 422
        assert "It signs with a key. Paste the public half" in developer.page_text
        with transaction():
            assert session().scalars(select(Client)).all() == []

    def test_the_registration_has_a_jwks_uri_for_a_public_url_but_not_for_a_local_one(self, read):
        at = "https://assembly.example"
        live = tomllib.loads(read("/quick-starts/authlib-key", address=at).find(id="registration").get_text())
        assert live["jwks_uri"] == f"{at}/jwks.json"
        local = tomllib.loads(read("/quick-starts/authlib-key").find(id="registration").get_text())
        assert "jwks_uri" not in local

    def test_the_guide_says_which_keys_and_assertions_the_code_accepts(self, read):
        text = " ".join(read("/guide").find(id="main").get_text(" ").split())
        assert "RSA of 2,048 bits or more, or on Ed25519 or P-256. The private half" in text
        assert "as a key set of up to 20" in text
        assert "alg (RS256, PS256, ES256, EdDSA, Ed25519; with the profile fapi2 PS256, ES256, EdDSA, Ed25519)" in text
        assert "exp is at most 10 minutes ahead" in text
        assert client_assertion.TYPE in text


def run_page(page, folder):
    """The names that the program on the page defines, when it is loaded in this folder."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as environment:
        environment.setenv("SESSION_SECRET", "0123456789abcdef0123456789abcdef")
        names = {"__name__": "site"}
        exec(page.find(id="file-1").get_text(), names)
    return names


def redeem(web, method, client_id, key=None):
    """The response to a code that does not exist, from Authlib's client with this authentication `method`."""
    form = "grant_type=authorization_code&code=none&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback"
    auth = ClientAuth(client_id, key, method)
    url, headers, body = auth.prepare("POST", f"{ISSUER}/oauth/token", {}, form)
    return web.post(urlsplit(url).path, data=body, headers=headers, content_type="application/x-www-form-urlencoded")
