"""For any method, path, headers, cookies and type of body, the response is a valid one of ours."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from hypothesis import given, strategies as st

from idp.foundation import database, runtime
from idp.foundation.web import security
from tests.fuzz import responses
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.hostile import AUTHORIZATIONS, CANARY, CONTENT_TYPES, FORM_CONTENT_TYPE, Request, header, odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.recorded_writes import recorded_writes
from tests.fuzz.test_endpoints import REGISTERED
from tests.oidc import registering

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "LINK", "X" * 99)
FOREIGN_HOST = "elsewhere.example"
"""An unused host: a response that contains it was influenced by a header."""
HOST_HEADERS = (
    "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
    "X-Forwarded-Server", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-Host", "X-Real-IP", "Via", "Referer",
    "X-HTTP-Method-Override", "X-Script-Name", "Origin", "Host",
)  # fmt: skip
FOREIGN_HOSTS = (
    FOREIGN_HOST, f"{FOREIGN_HOST}:443", f"https://{FOREIGN_HOST}", f"localhost:5000, {FOREIGN_HOST}",
    f"{FOREIGN_HOST}/..",
    f"localhost:5000@{FOREIGN_HOST}", f"for={FOREIGN_HOST};host={FOREIGN_HOST};proto=https", f"/{FOREIGN_HOST}",
    f"localhost:5000.{FOREIGN_HOST}",
    f"{FOREIGN_HOST}#localhost:5000", f"[{FOREIGN_HOST}", f"{FOREIGN_HOST}:99999999", f"{CANARY}.{FOREIGN_HOST}",
)  # fmt: skip
HEADER_VALUES: dict[str, tuple[str, ...]] = {
    "Accept": ("*/*;q=nan", "text/html;q=-1, application/json;q=9", "application/json", ",,,;;;", "a/b" * 900),
    "Accept-Language": ("cy", "en-GB;q=1e999", "*;q=nan", "\xe9", "-", "x" * 5000),
    "Accept-Encoding": ("gzip;q=0", "*;q=nan", "identity;q=0"),
    "Authorization": AUTHORIZATIONS,
    "Cookie": (
        "=", ";;;", "a", "idaas-session", "__Host-session=", "idaas-form=", "idaas-form=.", "idaas-form=\xff", "$V=1",
    ),
    "DPoP": ("", "a", "a.b.c", "a, b", "\xff", "x" * 9000),
    "Range": ("bytes=0-0", "bytes=-1", "bytes=9-1", "bytes=0-0,1-1", "lines=1", "bytes=" + "9" * 99 + "-"),
    "If-None-Match": ("*", '"', 'W/"', '"a" "b"', ",", "x" * 5000),
    "If-Match": ("*", '"a"'),
    "If-Modified-Since": ("x", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "0"),
    "If-Range": ("x", '"a"', "Thu, 01 Jan 1970 00:00:00 GMT"),
    "User-Agent": ("", CANARY, "\xff" * 200, "Mozilla/5.0 " + "(" * 3000),
    "X-CSRFToken": ("", ".", "a.b.c", "IjAi.x.y", "\xff"),
    "X-Request-ID": (CANARY, "x" * 999), "Content-Encoding": ("gzip", "x"), "Expect": ("100-continue", "x"),
    "Transfer-Encoding": ("chunked", "x"), "Upgrade": ("websocket",), "X-Requested-With": ("XMLHttpRequest",),
}  # fmt: skip
BODIES = (
    b"", b"a=b", b"&", b"=", b"%", b"a=%zz&b=%ff&%00=%00", b"{", b"[]", b'{"a":1}', b"\xff\xfe\x00", b"a" * 70_000,
    b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\na\r\n--x--',
    b'--x\r\nContent-Disposition: form-data; name="code"; filename="a"\r\nContent-Type: x\r\n\r\n\x00\r\n--x--',
    b"--x\r\n" + b"a: b\r\n" * 5000, b"--x\r\nContent-Disposition: form-data\r\n\r\n", b"--x",
    b"&".join([b"a=b"] * 600),
)  # fmt: skip
content_types = st.sampled_from(
    [
        *CONTENT_TYPES,
        FORM_CONTENT_TYPE,
        FORM_CONTENT_TYPE,
        "multipart/form-data; boundary=x",
        "application/problem+json",
    ]
)


def _rules(target: FuzzTarget) -> list[Any]:
    """All URL rules, except that of static files."""
    rules = (rule for rule in target.app.url_map.iter_rules() if rule.endpoint != "static")
    return sorted(rules, key=lambda rule: (rule.rule, rule.endpoint))


def _path(target: FuzzTarget, rule: Any) -> str:
    """A path that the rule matches, with the id of a row where it takes one."""
    if rule.endpoint == "onboarding.old_path.redirect_to_registration":
        return "/XodRegister/School"
    values = {"client_id": target.partner.id}
    return re.sub(r"<(int(?:\(.*?\))?:)?(\w+)>", lambda part: values.get(part[2], "1" if part[1] else "x"), rule.rule)


def _check(target: FuzzTarget, response: Any) -> None:
    responses.check(response, REGISTERED, target.secrets)
    target.log.check(target.secrets)


def test_every_path_accepts_its_own_methods_only(target):
    url_map = target.app.url_map.bind(runtime.for_app(target.app).settings.server.host_name)
    for path in {_path(target, rule) for rule in _rules(target)}:
        allowed = set(url_map.allowed_methods(path))
        for method in METHODS:
            response = Request(method, path).send(target.browser())
            _check(target, response)
            if method not in allowed:
                assert response.status_code == 405, (method, path, response.status_code)
                assert set(response.headers["Allow"].split(", ")) == allowed
            if method == "HEAD":
                assert not response.data


WRITTEN_BY_GET = {
    # The health check writes to see whether the disk has room; the row stays the same.
    "/readyz": {"alembic_version"},
    # The secret in the QR code, which is no second factor until a code made from it was typed.
    "/manage/security/app": {"authenticator_apps"},
}


def test_get_requests_change_nothing(target):
    with target.app.app_context():
        engine = database.CONNECTIONS.for_app(target.app).engine
    for web in (target.web, target.browser()):
        for rule in _rules(target):
            for method in ("GET", "HEAD", "OPTIONS"):
                with recorded_writes(engine) as writes:
                    Request(method, _path(target, rule)).send(web)
                assert writes.tables <= WRITTEN_BY_GET.get(rule.rule, set()), (method, rule.rule)


@fuzz_settings(2)
@given(data=st.data())
def test_requests_with_any_body_get_a_valid_response(target, data):
    rule = data.draw(st.sampled_from(_rules(target)))
    method = data.draw(st.sampled_from(["POST", "POST", "POST", *METHODS]))
    sent = Request(
        method, _path(target, rule), body=data.draw(st.sampled_from(BODIES)), content_type=data.draw(content_types)
    )
    if data.draw(st.booleans()):
        sent = replace(sent, headers=target.partner.basic)
    _check(target, sent.send(target.browser()))


@fuzz_settings(2)
@given(data=st.data())
def test_requests_with_any_headers_get_a_valid_response(target, data):
    rule = data.draw(st.sampled_from(_rules(target)))
    names = data.draw(st.lists(st.sampled_from(sorted(HEADER_VALUES)), min_size=1, max_size=4, unique=True))
    headers = {name: data.draw(st.sampled_from(HEADER_VALUES[name]) | header) for name in names}
    method = data.draw(st.sampled_from(sorted(rule.methods)))
    web = data.draw(st.sampled_from([target.web, target.browser()]))
    _check(target, Request(method, _path(target, rule), headers=headers).send(web))


@fuzz_settings(4)
@given(name=st.sampled_from(HOST_HEADERS), value=st.sampled_from(FOREIGN_HOSTS), data=st.data())
def test_no_request_header_changes_the_host_of_links(target, name, value, data):
    """Hosts in links and redirects come from the settings alone (security.md rule 2)."""
    paths = [_path(target, rule) for rule in _rules(target) if "GET" in rule.methods]
    path = data.draw(st.sampled_from([*paths, target.partner.link(prompt="none")]))
    response = data.draw(st.sampled_from([target.web, target.browser()])).get(path, headers={name: value})
    _check(target, response)
    assert FOREIGN_HOST not in f"{response.headers}{response.text}"
    assert name != "Host" or response.status_code == 400 or path in security.HEALTH_PATHS


@fuzz_settings()
@given(value=header | st.sampled_from(FOREIGN_HOSTS))
def test_requests_for_other_hosts_are_refused(target, value):
    response = target.browser().get("/sign-in", headers={"Host": value})
    _check(target, response)
    assert response.status_code == 400 or value.strip() == "localhost:5000"


COOKIES = (
    "idaas-session", "idaas-form", "idaas-registration", "idaas-browser", "idaas-device", "__Host-session",
    "remember_token", "a b", "\xff",
)  # fmt: skip


@fuzz_settings()
@given(
    planted=st.lists(st.tuples(st.sampled_from(COOKIES), header), max_size=4), path=st.sampled_from(["/", "/sign-in"])
)
def test_forged_cookies_sign_no_one_in(target, planted, path):
    text = "; ".join(f"{name}={value}" for name, value in planted)
    response = target.app.test_client().get(path, base_url=target.settings.server.issuer, headers={"Cookie": text})
    _check(target, response)
    assert "Sign out" not in response.text


@fuzz_settings()
@given(index=st.integers(0, 200), replacement=odd_text)
def test_altered_cookies_sign_no_one_in(target, index, replacement):
    name = security.cookie_name(target.settings, "session")
    cookie = target.web.get_cookie(name).value
    altered = f"{cookie[:index]}{replacement}{cookie[index + 1 :]}".encode("utf-8", "replace").decode("latin-1")
    altered = re.sub(r"[\r\n]", "", altered)
    headers = {"Cookie": f"{name}={altered}"}
    response = target.app.test_client().get("/sign-out", base_url=target.settings.server.issuer, headers=headers)
    _check(target, response)
    assert altered.strip().startswith(cookie) or response.status_code == 303


@fuzz_settings()
@given(parts=st.lists(odd_text, min_size=1, max_size=3))
def test_requests_for_any_path_get_a_valid_response(target, parts):
    path = "/" + "/".join(parts)
    for method in ("GET", "POST"):
        response = target.web.open(quote(path, errors="surrogatepass"), method=method)
        _check(target, response)
        response = Request(method, "/register/details", query=(("school", parts[0]), ("next", path))).send(target.web)
        _check(target, response)


def test_a_registration_can_only_be_read_with_its_own_token(target):
    path = registering.path_of(target.registration)
    for token in (target.initial_token, target.tokens["access_token"], target.tokens["refresh_token"]):
        for method in ("GET", "PUT", "DELETE"):
            headers = registering.bearer_header(token)
            response = Request(method, path, headers=headers, body=b"{}", content_type="application/json").send(
                target.web
            )
            assert response.status_code == 401, response.text
