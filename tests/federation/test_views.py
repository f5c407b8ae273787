"""Signing in with an account of another provider, over HTTP; every invalid response leads to an error page."""

import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import pytest
from flask import Response
from joserfc.jwk import ECKey, OctKey, RSAKey

from idp.audit import events
from idp.estabs import accounts, people
from idp.estabs.models import Administrator
from idp.federation import metadata
from idp.federation.models import FederatedRequest, LinkedAccount
from idp.foundation import clock as clocks
from idp.foundation.ports import RequestingPartner
from idp.signin.models import BrowserSession
from tests.audit_entries import recorded
from tests.factories import an_administrator
from tests.federation.fake_provider import OTHER_TENANT, TENANT, callback
from tests.oidc.signing import b64, key
from tests.raw_server import raw_server
from tests.signin.apps import an_app

NAMES = ["microsoft", "google"]


def sessions(transaction):
    with transaction() as session:
        return session.query(BrowserSession).all()


STATUSES = {"provider_response": 400, "school_account_needed": 403, "provider_unavailable": 503}
"""The status of the page of each error."""


class TestSwitch:
    def test_switched_off_there_is_no_button_and_no_route(self, jo):
        jo.open("/sign-in")
        assert not jo.page.select("form[action*='/sign-in/with/']")
        assert "form-action 'self';" in jo.response.headers["Content-Security-Policy"]
        for name in (*NAMES, "apple"):
            assert jo.open(f"/sign-in/with/{name}/return?code=x&state=y").status_code == 404
            jo.open("/sign-in")
            assert jo.post(f"/sign-in/with/{name}").status_code == 404

    def test_the_general_switch_disables_a_provider_that_is_enabled(self, jo, enabled_providers, change_settings):
        change_settings(federation={"enabled": False})
        jo.open("/sign-in")
        assert not jo.page.select("form[action*='/sign-in/with/']")

    def test_only_a_provider_that_is_switched_on_has_a_button(self, jo, microsoft, change_settings):
        change_settings(federation={"enabled": True, "microsoft": microsoft.settings})
        jo.open("/sign-in")
        assert "Sign in with Microsoft" in jo.page_text
        assert "Sign in with Google" not in jo.page_text
        assert "form-action" not in jo.response.headers["Content-Security-Policy"]


class TestSigningIn:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_linked_account_signs_its_person_in(self, jo, enabled_providers, account, link, transaction, name):
        link(account.id, name)
        with transaction():
            other_id = an_administrator().id
        link(other_id, name, subject="another")

        response = jo.sign_in_with(name, enabled_providers[name], back="/mobile/confirm")

        assert (response.status_code, response.location) == (303, "/mobile/confirm")
        [session] = sessions(transaction)
        assert (session.person_id, session.amr, session.acr) == (account.id, frozenset(), "urn:idaas:acr:single")
        with transaction() as session:
            used = {row.person_id: row.last_used_at is not None for row in session.query(LinkedAccount)}
            assert used == {account.id: True, other_id: False}
            assert [(row[0], row[4]) for row in recorded(events.ACCOUNT_USED)] == [(account.id, {"provider": name})]

    def test_the_authorization_request_has_every_parameter_and_pkce(self, jo, enabled_providers):
        url = urlsplit(jo.start_sign_in("microsoft"))
        sent = dict(parse_qsl(url.query))

        assert url.path == "/authorize"
        assert sent["response_type"] == "code"
        assert sent["redirect_uri"] == "http://localhost:5000/sign-in/with/microsoft/return"
        assert sent["scope"] == "openid profile"
        assert sent["code_challenge_method"] == "S256"
        assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3
        assert all(len(sent[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
        assert "prompt" not in sent

    def test_an_audience_may_be_a_list_of_us_alone(self, jo, enabled_providers, account, link):
        link(account.id)
        enabled_providers["microsoft"].overrides["aud"] = ["us"]
        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"]).status_code == 303

    def test_a_fixed_microsoft_issuer_needs_no_tid_claim(self, jo, google, account, link, change_settings):
        change_settings(federation={"enabled": True, "microsoft": google.settings})
        link(account.id, tenant="")
        assert jo.sign_in_with("microsoft", google).status_code == 303

    def test_a_subject_may_have_255_characters(self, jo, enabled_providers, account, link):
        link(account.id, subject="x" * 255)
        enabled_providers["microsoft"].overrides["sub"] = "x" * 255
        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"]).status_code == 303

    def test_the_issuer_of_google_may_lack_its_scheme(self, jo, stranger, google, account, link, change_settings):
        settings = google.settings.model_copy(update={"issuer": "https://accounts.google.example"})
        google.metadata["issuer"] = "https://accounts.google.example"
        change_settings(federation={"enabled": True, "google": settings})
        link(account.id, "google")

        for browser, issuer in ((jo, "accounts.google.example"), (stranger, "https://accounts.google.example")):
            google.overrides["iss"] = issuer
            assert browser.sign_in_with("google", google).status_code == 303

    def test_an_account_that_is_not_linked_gets_the_same_page_whatever_its_email_address(
        self, jo, stranger, enabled_providers, account, link, transaction
    ):
        with transaction() as session:
            people_before = session.query(Administrator).count()
        # the e-mail address of the account at the provider is Jo's
        pages = {jo.sign_in_with("microsoft", enabled_providers["microsoft"]).text}
        link(account.id)
        enabled_providers["microsoft"].overrides |= {"sub": "another", "email": "someone@elsewhere.example"}
        pages.add(stranger.sign_in_with("microsoft", enabled_providers["microsoft"]).text)

        assert stranger.response.status_code == 403
        assert "not linked yet" in stranger.page_text
        assert len({_without_nonces(page) for page in pages}) == 1
        assert sessions(transaction) == []
        with transaction() as session:
            assert session.query(Administrator).count() == people_before

    def test_an_account_that_moved_to_another_organisation_is_unknown(self, jo, enabled_providers, account, link):
        link(account.id, "google")
        enabled_providers["google"].overrides["hd"] = "another.example"

        assert jo.sign_in_with("google", enabled_providers["google"]).status_code == 403
        assert "not linked yet" in jo.page_text

    def test_a_removed_person_is_unknown(self, jo, enabled_providers, account, link, transaction):
        link(account.id)
        with transaction() as session:
            session.get_one(Administrator, account.id).removed_at = clocks.now()

        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"]).status_code == 403
        assert "not linked yet" in jo.page_text

    @pytest.mark.parametrize("state", ["suspended", "closed"])
    def test_a_person_of_a_suspended_or_closed_school_is_told_so_and_not_signed_in(
        self, jo, enabled_providers, account, link, transaction, state
    ):
        link(account.id)
        with transaction():
            accounts.change_state(people.get(account.id).memberships[0].estab, state, by="cli")

        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"]).status_code == 403
        assert "What you signed in with is right" in jo.page_text
        assert sessions(transaction) == []

    def test_a_locked_account_stays_locked(self, jo, enabled_providers, account, link, transaction, settings):
        link(account.id)
        for _ in range(settings.throttle.account_guesses):
            jo.sign_in(account.username, "wrong")

        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"]).status_code == 429
        assert sessions(transaction) == []

    def test_a_new_device_is_notified(self, jo, stranger, enabled_providers, account, link, outbox):
        link(account.id)
        jo.sign_in_with("microsoft", enabled_providers["microsoft"])
        assert outbox.all("new_device") == []
        stranger.sign_in_with("microsoft", enabled_providers["microsoft"])

        assert [message.to for message in outbox.all("new_device")] == [account.email]

    def test_a_return_address_that_is_too_long_becomes_the_home_page(self, jo, enabled_providers, account, link):
        link(account.id)
        assert jo.sign_in_with("microsoft", enabled_providers["microsoft"], back="/" + "x" * 2048).location == "/"

    @pytest.mark.parametrize(
        "foreign_address", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)"]
    )
    def test_a_return_address_on_another_host_becomes_the_home_page(
        self, jo, enabled_providers, account, link, foreign_address
    ):
        link(account.id)
        location = jo.sign_in_with(
            "microsoft", enabled_providers["microsoft"], back=quote(foreign_address, safe="")
        ).location

        assert location == "/"


def _without_nonces(page):
    return re.sub(r'(nonce|value|csrf_token)="[^"]*"', "", page)


WRONG_CLAIMS = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "a nonce that is not a string": {"nonce": 7},
    "the audience of another client": {"aud": "them"},
    "an audience of us and others": {"aud": ["us", "them"], "azp": "us"},
    "authorized for another": {"azp": "them"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.test"},
    "the template itself": {"iss": "http://localhost/{tenantid}/v2.0"},
    "no issuer": {"iss": None},
    "expired": {"exp": 1_000_000_000},
    "no expiry": {"exp": None},
    "an expiry in words": {"exp": "tomorrow"},
    "an infinite expiry": {"exp": float("inf")},
    "not yet valid": {"nbf": 9_000_000_000},
    "issued in the future": {"iat": 9_000_000_000},
    "no time of issue": {"iat": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject in numbers": {"sub": 7},
    "a subject that is too long": {"sub": "x" * 256},
    "a subject with a control character": {"sub": "sub-of\0jo"},
    "a hash of another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    "amr that is not a list": {"amr": "pwd"},
}


@pytest.fixture
def log_records(caplog):
    """`log_records()` is the fields of each line that was logged. structlog's capture misses loggers that were used
    before the newest configuration, which each application makes.
    """
    caplog.set_level("INFO")
    return lambda: [record.msg for record in caplog.records if isinstance(record.msg, dict)]


class TestInvalidResponsesOfProviders:
    """No one is signed in, the page explains the error, the log has the reason, and the status is never 500."""

    def assert_refused(self, jo, transaction, code):
        assert jo.response.status_code == STATUSES[code]
        assert jo.response.mimetype == "text/html"
        assert jo.page.find(id="error-code").text == code
        assert sessions(transaction) == []

    @pytest.mark.parametrize("case", WRONG_CLAIMS)
    def test_a_token_with_a_wrong_claim_is_refused(self, jo, linked_provider, transaction, case, log_records):
        linked_provider.overrides |= WRONG_CLAIMS[case]
        jo.sign_in_with("microsoft", linked_provider)

        self.assert_refused(jo, transaction, "provider_response")
        assert any(line.get("code") == "provider_response" and line["reason"] for line in log_records())
        assert not any("sub-of-jo" in str(line) for line in log_records())

    @pytest.mark.parametrize("iss", ["https://evil.test", "", None])
    def test_a_token_of_another_issuer_than_google_is_refused(
        self, jo, enabled_providers, account, link, transaction, iss
    ):
        """All accounts of Google have one issuer, which is stored with them; there is no `tid` to check."""
        link(account.id, "google")
        enabled_providers["google"].overrides["iss"] = iss
        jo.sign_in_with("google", enabled_providers["google"])
        self.assert_refused(jo, transaction, "provider_response")

    def test_a_token_of_one_organisation_naming_another_is_refused(self, jo, linked_provider, transaction):
        linked_provider.overrides["tid"] = OTHER_TENANT
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    def test_the_same_sub_of_another_organisation_is_refused(self, jo, linked_provider, transaction):
        linked_provider.overrides |= {
            "tid": OTHER_TENANT,
            "iss": linked_provider.issuer.replace("{tenantid}", OTHER_TENANT),
        }
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 403
        assert "not linked yet" in jo.page_text

    @pytest.mark.parametrize("tid", [None, 7, "", "../evil", "9188040d-6c67-4c5b-b112-36a304b66dad"])
    def test_a_personal_microsoft_account_is_refused(self, jo, linked_provider, transaction, tid):
        linked_provider.overrides["tid"] = tid
        if tid == "9188040d-6c67-4c5b-b112-36a304b66dad":
            linked_provider.overrides["iss"] = linked_provider.issuer.replace("{tenantid}", tid)
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response" if tid == "../evil" else "school_account_needed")

    def test_a_personal_google_account_is_refused(self, jo, enabled_providers, transaction):
        enabled_providers["google"].overrides["hd"] = None
        jo.sign_in_with("google", enabled_providers["google"])
        self.assert_refused(jo, transaction, "school_account_needed")

    def test_a_token_signed_by_an_unpublished_key_is_refused(self, jo, linked_provider, transaction):
        linked_provider.signing_key = key("RS256", 2)
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    def test_a_token_with_a_forged_kid_is_refused(self, jo, linked_provider, transaction):
        linked_provider.signing_key, linked_provider.header = key("RS256", 2), {"kid": "rsa-1"}
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    @pytest.mark.parametrize(
        "header", [{"jku": "https://evil.test/keys"}, {"crit": ["exp"]}, {"x5u": "https://evil.test/x"}]
    )
    def test_a_token_whose_header_names_other_keys_is_refused(self, jo, linked_provider, transaction, header):
        linked_provider.header = header
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    @pytest.mark.parametrize("alg", ["HS256", "EdDSA", "ES384"])
    def test_a_token_with_another_algorithm_is_refused(self, jo, linked_provider, transaction, alg):
        public = OctKey.import_key(b64(json.dumps(key("RS256").as_dict(private=False)).encode()))
        linked_provider.alg = alg
        linked_provider.signing_key = {"HS256": public, "EdDSA": key("EdDSA"), "ES384": ECKey.generate_key("P-384")}[
            alg
        ]
        if alg != "HS256":
            linked_provider.published_keys.append(linked_provider.signing_key)
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    def test_a_new_key_is_fetched(self, jo, stranger, linked_provider, monkeypatch):
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 303
        linked_provider.signing_key = key("RS256", 2)
        linked_provider.published_keys.append(linked_provider.signing_key)
        monkeypatch.setattr(metadata, "MIN_REFETCH_SECONDS", 0.0)
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 303

    def test_a_key_that_replaced_another_under_its_name_is_fetched(self, jo, stranger, linked_provider, monkeypatch):
        named = {"kid": key("RS256").as_dict(private=False)["kid"]}
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 303
        linked_provider.signing_key, linked_provider.header = key("RS256", 2), named
        linked_provider.published_keys = [RSAKey.import_key(key("RS256", 2).as_dict(private=True) | named)]
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 400
        assert linked_provider.requests.count("/keys") == 1
        monkeypatch.setattr(metadata, "MIN_REFETCH_SECONDS", 0.0)
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 303

    def test_metadata_and_keys_are_fetched_once_an_hour(self, jo, stranger, linked_provider, monkeypatch):
        for browser in (jo, stranger):
            assert browser.sign_in_with("microsoft", linked_provider).status_code == 303
        documents = ["/.well-known/openid-configuration", "/keys"]
        assert [linked_provider.requests.count(path) for path in documents] == [1, 1]
        monkeypatch.setattr(metadata, "CACHE_SECONDS", 0.0)
        jo.web.delete_cookie("idaas-session")
        jo.sign_in_with("microsoft", linked_provider)
        assert all(linked_provider.requests.count(path) > 1 for path in documents)

    def test_keys_are_fetched_once_a_minute_for_unknown_kids(self, jo, stranger, linked_provider):
        linked_provider.signing_key = key("RS256", 2)
        for browser in (jo, stranger):
            assert browser.sign_in_with("microsoft", linked_provider).status_code == 400
        assert linked_provider.requests.count("/keys") == 1

    def test_cached_metadata_and_keys_are_used_for_a_day_while_the_provider_is_unavailable(
        self, jo, stranger, linked_provider, monkeypatch, log_records
    ):
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 303
        for path in ("/.well-known/openid-configuration", "/keys"):
            linked_provider.error_responses[path] = Response("", 503)
        monkeypatch.setattr(metadata, "CACHE_SECONDS", 0.0)
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 303
        assert any("responded with 503" in str(line) for line in log_records())
        monkeypatch.setattr(metadata, "MAX_STALE_SECONDS", 0.0)
        jo.web.delete_cookie("idaas-session")
        jo.start_sign_in("microsoft")
        assert jo.response.status_code == 503

    @pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
    @pytest.mark.parametrize("body", ["{}", '{"keys": []}', '{"issuer": "https://evil.test"}'])
    def test_invalid_metadata_or_keys_do_not_replace_valid_ones_that_are_cached(
        self, jo, stranger, linked_provider, monkeypatch, path, body, log_records
    ):
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 303
        linked_provider.error_responses[path] = Response(body, 200, mimetype="application/json")
        monkeypatch.setattr(metadata, "CACHE_SECONDS", 0.0)
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 303
        assert any(line.get("url", "").endswith(path) and line["reason"] for line in log_records())

    def test_a_key_set_without_keys_is_not_cached(self, jo, stranger, linked_provider):
        """If it were cached for an hour, no one could sign in meanwhile."""
        linked_provider.error_responses["/keys"] = Response('{"keys": []}', 200, mimetype="application/json")
        assert jo.sign_in_with("microsoft", linked_provider).status_code == 400
        linked_provider.error_responses.clear()
        assert stranger.sign_in_with("microsoft", linked_provider).status_code == 303

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
    @pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
    def test_an_error_of_the_providers_server_is_reported(self, jo, linked_provider, transaction, path, status):
        linked_provider.error_responses[path] = Response("<h1>no</h1>", status)
        location = jo.start_sign_in("microsoft")
        if location:
            jo.return_with("microsoft", linked_provider.authorize(location))
        code = "provider_response" if path == "/token" and status < 500 else "provider_unavailable"
        self.assert_refused(jo, transaction, code)

    @pytest.mark.parametrize("body", ["", "nonsense", "[]", "7", "null", "[" * 20_000, '{"keys": 7}', "\xff"])
    @pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
    def test_an_unreadable_response_of_the_provider_is_reported(self, jo, linked_provider, transaction, path, body):
        linked_provider.error_responses[path] = Response(body, 200, mimetype="application/json")
        location = jo.start_sign_in("microsoft")
        if location:
            jo.return_with("microsoft", linked_provider.authorize(location))
        self.assert_refused(jo, transaction, "provider_response")

    @pytest.mark.parametrize(
        "token",
        ['{"error": "invalid_grant", "error_description": "x"}', '{"error": 7}', '{"error": {"a": []}}',
         '{"access_token": "x"}', '{"id_token": 7}', '{"id_token": "a.b.c"}', '{"id_token": "x", "expires_in": "soon"}',
         '{"id_token": "eyJhbGciOiJub25lIn0.e30."}'],
    )  # fmt: skip
    def test_a_token_response_without_a_valid_id_token_is_refused(self, jo, linked_provider, transaction, token):
        linked_provider.error_responses["/token"] = Response(token, 200, mimetype="application/json")
        jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_response")

    def test_a_slow_provider_is_reported(self, jo, linked_provider, transaction, change_settings):
        change_settings(fetch={"timeout": 0.5})
        with raw_server() as slow:
            slow.response, slow.delay, slow.chunk_size = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", 0.1, 1
            linked_provider.metadata["token_endpoint"] = slow.url
            jo.sign_in_with("microsoft", linked_provider)
        self.assert_refused(jo, transaction, "provider_unavailable")

    def test_an_unreachable_provider_is_reported(self, jo, linked_provider, transaction, change_settings):
        settings = linked_provider.settings.model_copy(update={"authority": "http://localhost:1"})
        change_settings(federation={"enabled": True, "microsoft": settings})
        jo.start_sign_in("microsoft")
        self.assert_refused(jo, transaction, "provider_unavailable")

    @pytest.mark.parametrize(
        "overrides",
        [{"issuer": "https://evil.test"}, {"token_endpoint": None}, {"token_endpoint": "ftp://x"},
         {"authorization_endpoint": "javascript:alert(1)"}, {"jwks_uri": "http://[::1"}, {"jwks_uri": 7},
         {"authorization_endpoint": "https://"}, {"authorization_endpoint": "https://x.example/#y"},
         {"authorization_endpoint": "https://x.example/\x7f"}],
    )  # fmt: skip
    def test_metadata_with_an_invalid_issuer_or_endpoint_are_refused(self, jo, linked_provider, transaction, overrides):
        linked_provider.metadata |= overrides
        jo.start_sign_in("microsoft")
        self.assert_refused(jo, transaction, "provider_response")


class TestResponses:
    def test_a_person_who_cancels_at_the_provider_returns_to_the_sign_in_page(self, jo, linked_provider, transaction):
        state = linked_provider.authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))["state"]
        response = jo.return_with("microsoft", {"error": "access_denied", "state": state})

        assert response.location == "/sign-in?next=/mobile/confirm"
        assert "You did not continue with your Microsoft 365 account" in jo.open(response.location).text
        assert sessions(transaction) == []

    @pytest.mark.parametrize("error", ["login_required", "server_error", "x" * 4000, "", "<script>"])
    def test_another_error_of_the_provider_shows_a_page(self, jo, linked_provider, transaction, error):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        jo.return_with("microsoft", response | {"error": error})

        assert jo.response.status_code == 400
        assert jo.page.find(id="error-code").text == "provider_refused"
        assert "<script>" not in jo.response.text

    def test_a_response_of_another_issuer_is_refused_before_the_code_is_used(self, jo, linked_provider, transaction):
        for iss in ("https://evil.test", "", linked_provider.issuer):
            response = linked_provider.authorize(jo.start_sign_in("microsoft"))
            jo.return_with("microsoft", response | {"iss": iss})
            assert jo.page.find(id="error-code").text == "provider_response"
        assert "/token" not in linked_provider.requests
        assert sessions(transaction) == []

    def test_a_response_whose_iss_differs_from_its_tokens_is_refused(self, jo, linked_provider, transaction):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        jo.return_with("microsoft", response | {"iss": linked_provider.issuer.replace("{tenantid}", OTHER_TENANT)})
        assert jo.page.find(id="error-code").text == "provider_response"

        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        jo.return_with("microsoft", response | {"iss": linked_provider.issuer.replace("{tenantid}", TENANT)})
        assert jo.response.status_code == 303

    def test_an_iss_parameter_is_required_if_the_metadata_announce_it(self, jo, linked_provider, transaction):
        linked_provider.metadata["authorization_response_iss_parameter_supported"] = True
        jo.sign_in_with("microsoft", linked_provider)
        assert jo.page.find(id="error-code").text == "provider_response"
        assert "/token" not in linked_provider.requests
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        jo.return_with("microsoft", response | {"iss": linked_provider.issuer.replace("{tenantid}", TENANT)})
        assert jo.response.status_code == 303

    def test_a_response_works_once(self, jo, linked_provider, transaction):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        assert jo.return_with("microsoft", response).status_code == 303
        jo.web.delete_cookie("idaas-session")
        assert jo.return_with("microsoft", response).status_code == 410

    def test_a_used_response_redirects_again_in_the_browser_that_it_signed_in(self, jo, linked_provider, transaction):
        """The provider's page is in the browser's history, and sends the browser here once more."""
        response = linked_provider.authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))
        jo.return_with("microsoft", response)
        again = jo.return_with("microsoft", response)
        assert (again.status_code, again.location) == (303, "/mobile/confirm")
        error = {"error": "server_error", "state": response["state"]}
        assert jo.return_with("microsoft", error).location == "/mobile/confirm"
        assert linked_provider.requests.count("/token") == 1
        assert len(sessions(transaction)) == 1

    def test_a_used_response_redirects_to_the_second_step_until_it_is_done(
        self, jo, linked_provider, account, transaction
    ):
        with transaction():
            an_app(account.id)
        response = linked_provider.authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))
        location = jo.return_with("microsoft", response).location
        assert location == "/sign-in/second-step?next=/mobile/confirm"
        assert jo.return_with("microsoft", response).location == location

    def test_a_used_response_is_refused_in_another_browser(self, jo, stranger, linked_provider, account):
        response = linked_provider.authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))
        jo.return_with("microsoft", response)
        stranger.sign_in(account.username)
        assert stranger.return_with("microsoft", response).status_code == 410

    def test_a_failed_response_cannot_be_sent_again(self, jo, linked_provider, transaction):
        linked_provider.overrides["nonce"] = "another"
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        assert jo.return_with("microsoft", response).status_code == 400
        assert jo.return_with("microsoft", response).status_code == 410

    def test_a_response_works_only_in_the_browser_that_began_the_sign_in(
        self, jo, stranger, linked_provider, transaction
    ):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        stranger.open("/sign-in")
        assert stranger.return_with("microsoft", response).status_code == 410
        assert sessions(transaction) == []
        assert jo.return_with("microsoft", response).status_code == 303

    def test_a_response_works_at_its_provider_only(self, jo, linked_provider, enabled_providers, transaction):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        assert jo.return_with("google", response).status_code == 410
        assert sessions(transaction) == []

    def test_a_response_expires(self, jo, linked_provider, transaction, clock):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        clock.move(timedelta(minutes=10))
        assert jo.return_with("microsoft", response).status_code == 410

    @pytest.mark.parametrize("state", ["", "x", "x" * 5000, "\ud800"])
    def test_an_unknown_state_is_refused(self, jo, linked_provider, state):
        jo.start_sign_in("microsoft")
        jo.return_with("microsoft", {"code": "x", "state": state.encode("utf-8", "surrogatepass")})
        assert jo.response.status_code == 410
        assert "Sign in" in jo.page_text

    @pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
    def test_a_repeated_parameter_is_refused(self, jo, linked_provider, name, transaction):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        shown_page = jo.open(f"{callback('microsoft', response)}&{name}=a&{name}=b")
        assert shown_page.status_code == 400
        assert sessions(transaction) == []

    @pytest.mark.parametrize("code", ["", "x" * 5000])
    def test_a_code_that_is_empty_or_too_long_is_not_sent_to_the_provider(self, jo, linked_provider, code):
        response = linked_provider.authorize(jo.start_sign_in("microsoft"))
        assert jo.return_with("microsoft", response | {"code": code}).status_code == 400
        assert "/token" not in linked_provider.requests

    def test_sign_ins_in_two_tabs_return_each_to_its_own_page(self, jo, linked_provider):
        first = linked_provider.authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))
        second = linked_provider.authorize(jo.start_sign_in("microsoft"))
        assert jo.return_with("microsoft", second).location == "/"
        assert jo.return_with("microsoft", first).location == "/mobile/confirm"

    def test_signing_in_starts_a_new_session(self, jo, linked_provider):
        jo.web.set_cookie("idaas-session", "planted")
        jo.sign_in_with("microsoft", linked_provider)
        assert jo.cookie("session") != "planted"

    def test_another_site_cannot_begin_a_sign_in(self, jo, stranger, linked_provider, transaction):
        jo.open("/sign-in")
        stranger.open("/sign-in")
        for token in ("", "rubbish", stranger.token):
            assert jo.web.post("/sign-in/with/microsoft", data={"csrf_token": token}).status_code == 400
        with transaction() as session:
            assert session.query(FederatedRequest).count() == 0

    def test_nonce_and_state_of_a_request_cannot_be_read_from_the_table(self, jo, linked_provider, transaction):
        sent = parse_qs(urlsplit(jo.start_sign_in("microsoft")).query)
        with transaction() as session:
            row = session.query(FederatedRequest).one()
        assert sent["nonce"][0] not in row.sealed
        assert sent["state"][0].encode() != row.digest


def test_a_partners_request_continues_after_the_sign_in_without_an_opener_policy(
    jo, enabled_providers, account, link, change_ports
):
    pending = "/oauth/authorize?client_id=assembly&request_uri=urn:x"
    change_ports(requesting_partner={pending: RequestingPartner("Assembly", "Example Ltd")}.get)
    link(account.id)

    response = enabled_providers["microsoft"].authorize(jo.start_sign_in("microsoft", back=quote(pending, safe="")))
    assert jo.response.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    shown_page = jo.return_with("microsoft", response)

    assert shown_page.location == pending
    assert shown_page.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"


def test_without_a_partners_request_the_opener_policy_is_same_origin(jo, enabled_providers, account, link):
    link(account.id)
    response = enabled_providers["microsoft"].authorize(jo.start_sign_in("microsoft", back="/mobile/confirm"))
    assert jo.response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert jo.return_with("microsoft", response).headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_sign_in_at_a_provider_signs_out_the_person_before(jo, enabled_providers, account, link, transaction):
    with transaction():
        other = an_administrator()
        name, other_id = other.username, other.id
    jo.sign_in(name)
    link(account.id)
    location = jo.start_sign_in("microsoft", back="/mobile/confirm")
    assert "prompt=login" in location
    jo.return_with("microsoft", enabled_providers["microsoft"].authorize(location))

    is_open = {session_row.person_id: session_row.ended_at is None for session_row in sessions(transaction)}
    assert is_open == {other_id: False, account.id: True}


@pytest.mark.parametrize(
    "query", ["admin_consent=True&tenant=8c6f9f9e", "admin_consent=True&tenant=8c6f9f9e&state=12345"]
)
def test_an_administrator_who_has_approved_us_at_microsoft_arrives_at_the_sign_in_page(jo, enabled_providers, query):
    jo.open(f"/sign-in/with/microsoft/return?{query}")

    assert (jo.response.status_code, jo.response.location) == (303, "/sign-in")
    jo.open("/sign-in")
    assert "approved us for your school at Microsoft" in jo.page_text


def test_a_refused_approval_is_no_approval(jo, enabled_providers):
    jo.open("/sign-in/with/microsoft/return?admin_consent=True&error=access_denied&error_subcode=cancel")

    assert jo.response.status_code == 410
