"""Requests of a hostile caller: valid requests, changed in random ways."""

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

CANARY = "<zq9>"
"""A text that no page may contain unescaped."""
EVIL = "https://evil.example/cb"
FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
Pairs = tuple[tuple[str, str], ...]

HOSTILE_TEXTS = (
    " ", "\0", "a\0b", "\r\nX-Evil: 1", "\x7f", "é", "\u202eabc", "\ud800", "a\udfffb", "\ufffd", "😀", "٣", "²", "İ",
    f'"><{CANARY}', f"'{CANARY}", CANARY, f"</script>{CANARY}", "{{7*7}}", "%00", "%0d%0aX-Evil:1", "%ff", "../..",
    "-1", "0", "1e999", "NaN", "null", "true", "[]", "{}", '{"a":', "9" * 400, "x" * 600, "x" * 5000, EVIL,
    "//evil.example", "/\\evil.example", "javascript:alert(1)", "https://assembly.example/callback#x",
    "https://assembly.example/callback/../x", "https://user@assembly.example/callback", "http://[::1", "a b c",
    '"', "\\", "openid openid", "urn:ietf:params:oauth:request_uri:x", "." * 50, "a.b.c", "eyJhbGciOiJub25lIn0.e30.",
)  # fmt: skip
FIELD_NAMES = (
    "client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt",
    "max_age", "acr_values", "claims", "display", "ui_locales", "login_hint", "id_token_hint", "resource",
    "code_challenge", "code_challenge_method", "code_verifier", "request", "request_uri", "dpop_jkt", "grant_type",
    "code", "refresh_token", "client_assertion", "client_assertion_type", "token", "token_type_hint", "access_token",
    "post_logout_redirect_uri", "logout_hint", "device_code", "user_code", "cancel", "registration", "csrf_token",
    "username", "password", "email", "mobile", "name", "declaration", "area", "allow", "deny", "authority", "shown",
    "agreement", "mis", "role", "decision", "finish", "generate", "send-code", "stay", "confirm", "next", "school",
)  # fmt: skip
AUTHORIZATIONS = (
    "Basic", "Basic ", "Basic ====", "Basic Og==", "Basic OjoO", "basic YTpi", "Basic gICAgA==", "Basic JTAwOiUwMA==",
    "Basic JUVEJUEwJTgwOng=", "Bearer", "Bearer ", "Bearer a b", "DPoP x", "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Digest a=b", f"Bearer {CANARY}", "Bearer " + "x" * 9000, "\xff\xfe", "Basic YTpi, Basic YTpi", "é ü",
)  # fmt: skip
HEADERS = ("Authorization", "DPoP", "Origin", "Accept-Language", "Cookie", "If-None-Match", "User-Agent")
CONTENT_TYPES = (
    "", "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/xml",
    FORM_CONTENT_TYPE + "; charset=utf-7", FORM_CONTENT_TYPE + "; charset=nonsense",
    "APPLICATION/X-WWW-FORM-URLENCODED", "\xff", "/", ";;;",
)  # fmt: skip

odd_text = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=30))
"""Texts that parsers may handle wrongly."""
header = st.one_of(
    st.sampled_from(AUTHORIZATIONS), st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
)
"""The value of a header, without characters that HTTP forbids."""
_scalar = st.one_of(
    st.none() | st.booleans(), odd_text, st.floats(),
    st.sampled_from([0, -1, 2**63, 10**400, -(10**400), 1e308, float("nan"), float("inf"), float("-inf")]),
)  # fmt: skip
any_json = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3)
)
"""Any JSON value, and the values that only Python's JSON parser accepts."""


@dataclass(frozen=True)
class Request:
    """A request; its body is `body`, or `form` where that is None."""

    method: str
    path: str
    query: Pairs = ()
    form: Pairs = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = FORM_CONTENT_TYPE

    def send(self, web: Any) -> Any:
        """Send the request; returns the response."""
        url = self.path + (f"?{_encoded(self.query)}" if self.query else "")
        options: dict[str, Any] = {"method": self.method, "headers": self.headers}
        if self.method not in {"GET", "HEAD"} or self.form or self.body:
            options["data"] = _encoded(self.form).encode() if self.body is None else self.body
            if self.content_type is not None:
                options["content_type"] = self.content_type
        return web.open(url, **options)


def _encoded(pairs: Pairs) -> str:
    return urlencode(pairs, errors="surrogatepass")


@st.composite
def tampered(draw: st.DrawFn, request: Request) -> Request:
    """`request` with up to three changes."""
    mutations = draw(st.lists(st.sampled_from(_MUTATIONS), min_size=1, max_size=3))
    for mutate in mutations:
        request = mutate(draw, request)
    return request


def _change_pairs(draw: st.DrawFn, request: Request, change: Any) -> Request:
    """Change the pairs of the body, or of the query where there is no body."""
    part = "form" if request.form else "query"
    return replace(request, **{part: change(list(getattr(request, part)))})


def _drop_field(draw: st.DrawFn, request: Request) -> Request:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        return tuple(pairs)

    return _change_pairs(draw, request, change)


def _repeat_field(draw: st.DrawFn, request: Request) -> Request:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        return (*pairs, draw(st.sampled_from(pairs))) if pairs else ()

    return _change_pairs(draw, request, change)


def _replace_value(draw: st.DrawFn, request: Request) -> Request:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            index = draw(st.integers(0, len(pairs) - 1))
            pairs[index] = (pairs[index][0], draw(odd_text))
        return tuple(pairs)

    return _change_pairs(draw, request, change)


def _insert_text(draw: st.DrawFn, request: Request) -> Request:
    """Insert an odd text before, into or after a valid value."""

    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            index = draw(st.integers(0, len(pairs) - 1))
            name, value = pairs[index]
            index_in_value = draw(st.integers(0, len(value)))
            pairs[index] = (name, value[:index_in_value] + draw(odd_text) + value[index_in_value:])
        return tuple(pairs)

    return _change_pairs(draw, request, change)


def _add_field(draw: st.DrawFn, request: Request) -> Request:
    added = (draw(st.sampled_from(FIELD_NAMES) | odd_text), draw(odd_text))
    return _change_pairs(draw, request, lambda pairs: (*pairs, added))


def _move_to_query(draw: st.DrawFn, request: Request) -> Request:
    """Send the parameters of the form in the query, or in both."""
    keep_form = draw(st.booleans())
    return replace(request, query=request.query + request.form, form=request.form if keep_form else ())


def _change_content_type(draw: st.DrawFn, request: Request) -> Request:
    return replace(request, content_type=draw(st.sampled_from(CONTENT_TYPES)))


def _as_multipart(draw: st.DrawFn, request: Request) -> Request:
    """Send the form as multipart, where a field may be a file."""
    kinds = (
        "",
        '; filename="a.txt"\r\nContent-Type: text/plain',
        '; filename=""',
        "\r\nContent-Type: text/x; charset=u",
    )
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"{draw(st.sampled_from(kinds))}\r\n\r\n{value}\r\n'
        for name, value in request.form
    ]
    body = "".join([*parts, "--x--\r\n"]).encode("utf-8", "surrogatepass")
    return replace(request, body=body, content_type="multipart/form-data; boundary=x")


def _as_json(draw: st.DrawFn, request: Request) -> Request:
    document = dict(request.form) if draw(st.booleans()) else draw(any_json)
    body = json.dumps(document).encode() if draw(st.booleans()) else draw(st.binary(max_size=60))
    return replace(request, body=body, content_type=draw(st.sampled_from([FORM_CONTENT_TYPE, "application/json"])))


def _add_huge_field(draw: st.DrawFn, request: Request) -> Request:
    name = draw(st.sampled_from(FIELD_NAMES))
    return replace(request, form=(*request.form, (name, "x" * draw(st.sampled_from([9_000, 70_000, 300_000])))))


def _add_header(draw: st.DrawFn, request: Request) -> Request:
    name = draw(st.sampled_from(HEADERS))
    return replace(request, headers=request.headers | {name: draw(header)})


def _change_method(draw: st.DrawFn, request: Request) -> Request:
    return replace(request, method=draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])))


_MUTATIONS = (
    _drop_field, _repeat_field, _replace_value, _replace_value, _insert_text, _insert_text, _add_field, _add_field,
    _move_to_query, _change_content_type, _as_json, _as_multipart, _add_huge_field, _add_header, _change_method,
)  # fmt: skip
