"""Which URIs may be registered."""

from typing import Any

import pytest

from idp.partners import uris

WEB: dict[str, Any] = {"profile": "oidc", "public": False, "local": True}
APP: dict[str, Any] = {"profile": "oidc", "public": True, "local": True}


@pytest.mark.parametrize(
    "uri",
    [
        "https://partner.example/cb",
        "https://partner.example",
        "https://partner.example:8443/cb?dummy1=lorem&dummy2=ipsum",
        "https://10.0.0.1/cb",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:5001/cb",
        "http://[::1]:5001/cb",
        "http://localhost:5001/cb",
        "https://partner.example/a%20b/~c",
    ],
)
def test_valid_redirect_uris_are_accepted(uri):
    assert uris.redirect(uri, **WEB) == uri


@pytest.mark.parametrize("uri", ["uk.example.app:/signed-in", "com.example-two.app:/cb?x=1"])
def test_a_redirect_uri_with_an_apps_own_scheme_is_for_public_clients_only(uri):
    assert uris.redirect(uri, **APP) == uri
    with pytest.raises(ValueError, match="must be https"):
        uris.redirect(uri, **WEB)


@pytest.mark.parametrize(
    "uri", ["app:/cb", "uk.example.app://cb", "uk.example.app:cb", "-a.b:/cb", "a..b:/cb", "a.:/cb"]
)
def test_an_apps_own_scheme_is_a_reversed_domain_followed_by_one_slash(uri):
    with pytest.raises(ValueError, match="must"):
        uris.redirect(uri, **APP)


def test_localhost_is_allowed_in_development_only_and_loopback_addresses_not_with_fapi2():
    with pytest.raises(ValueError, match="must be https"):
        uris.redirect("http://localhost:5001/cb", **(WEB | {"local": False}))
    assert uris.redirect("http://127.0.0.1:5001/cb", **(WEB | {"local": False}))
    with pytest.raises(ValueError, match="fapi2"):
        uris.redirect("http://127.0.0.1:5001/cb", **(WEB | {"profile": "fapi2"}))
    with pytest.raises(ValueError, match="fapi2"):
        uris.redirect("http://localhost:5001/cb", **(WEB | {"profile": "fapi2", "local": False}))
    assert uris.redirect("http://localhost:5001/cb", **(WEB | {"profile": "fapi2", "local": True}))


def test_pages_must_be_https_except_on_localhost_in_development():
    assert uris.web("https://partner.example/privacy", local=False)
    assert uris.web("http://localhost:5001/begin", local=True)
    for uri in ("http://localhost:5001/begin", "http://partner.example/", "ftp://partner.example/", "/privacy", ""):
        with pytest.raises(ValueError, match="must"):
            uris.web(uri, local=False)


@pytest.mark.parametrize(
    "uri",
    [
        "https://partner.example:0/", "https://partner.example:65536/", "https://partner.example:/",
        "https://partner.example:080/", "https://partner.example:8o/", "https://partner.example:99999999999999999999/",
        "https://", "https:///cb", "https:partner.example", "//partner.example/cb", "partner.example", "https://a..b/",
        "https://.a/", "https://a./", "https://-a.example/", "https://a_b.example/", "https://Partner.example/",
        "https://[::2]/", "https://[::1", "https://[v1.x]/", "https://%61.example/", "http://127.0.0.1", "https://::1/",
        "https://a.example/%", "https://a.example/%zz", "https://a.example/" + "x" * 2048,
    ],
)  # fmt: skip
def test_malformed_and_ambiguous_redirect_uris_are_refused(uri):
    with pytest.raises(ValueError, match=r"must|has"):
        uris.redirect(uri, **WEB)


@pytest.mark.parametrize("name", sorted(uris.RESPONSE_PARAMETERS))
def test_a_redirect_uri_may_not_contain_response_parameters(name):
    for uri in (f"https://partner.example/cb?{name}=1", f"https://partner.example/cb?a=1&{name}"):
        with pytest.raises(ValueError, match=f"must not have {name} in its query"):
            uris.redirect(uri, **WEB)
        with pytest.raises(ValueError, match=f"must not have {name} in its query"):
            uris.after_logout(uri, **WEB)
    with pytest.raises(ValueError, match="must not have"):
        uris.redirect(f"uk.example.app:/cb?%{ord(name[0]):x}{name[1:]}=x", **APP)
    assert uris.redirect(f"https://partner.example/cb?my{name}=1", **WEB)


@pytest.mark.parametrize("name", sorted(uris.LOGIN_PARAMETERS))
def test_initiate_login_uri_may_not_contain_parameters_that_we_add(name):
    with pytest.raises(ValueError, match=f"must not have {name} in its query"):
        uris.login(f"https://partner.example/begin?{name}=1", local=False)
    assert uris.login("https://partner.example/begin?tenant=1", local=False)


def test_a_post_logout_uri_of_a_public_client_may_have_an_apps_own_scheme():
    assert uris.after_logout("uk.example.app:/signed-out", **APP)
    assert uris.after_logout("https://partner.example/out", **APP)
    for kind in (WEB, APP | {"profile": "fapi2"}):
        with pytest.raises(ValueError, match="must be https"):
            uris.after_logout("uk.example.app:/signed-out", **kind)
    with pytest.raises(ValueError, match="must be https"):
        uris.after_logout("http://partner.example/out", **APP)


@pytest.mark.parametrize("uri", ["http://127.0.0.1/out", "http://127.0.0.1:8000/out", "http://[::1]/out"])
def test_a_post_logout_uri_may_be_a_loopback_uri(uri):
    """As for redirect URIs, a loopback URI may be http (RFC 8252 §7.3)."""
    production = {"local": False}
    assert uris.after_logout(uri, **APP | production)
    for kind in (WEB, APP | {"profile": "fapi2"}):
        with pytest.raises(ValueError, match="must be https"):
            uris.after_logout(uri, **kind | production)
