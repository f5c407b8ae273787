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
NAMES = (
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
TYPES = (
    "", "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/xml",
    FORM_CONTENT_TYPE + "; charset=utf-7", FORM_CONTENT_TYPE + "; charset=nonsense",
    "APPLICATION/X-WWW-FORM-URLENCODED", "\xff", "/", ";;;",
)  # fmt: skip

odd = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=30))
"""Texts that parsers may handle wrongly."""
header = st.one_of(
    st.sampled_from(AUTHORIZATIONS), st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
)
"""The value of a header, without characters that HTTP forbids."""
_leaf = st.one_of(
    st.none() | st.booleans(), odd, st.floats(),
    st.sampled_from([0, -1, 2**63, 10**400, -(10**400), 1e308, float("nan"), float("inf"), float("-inf")]),
)  # fmt: skip
anything = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd, inner, max_size=3))
"""Any JSON value, and the values that only Python's JSON parser accepts."""


@dataclass(frozen=True)
class Sent:
    """A request: `form` is the body, unless `body` is."""

    method: str
    path: str
    query: Pairs = ()
    form: Pairs = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = FORM_CONTENT_TYPE

    def by(self, web: Any) -> Any:
        """Send it; what came back."""
        address = self.path + (f"?{_encoded(self.query)}" if self.query else "")
        options: dict[str, Any] = {"method": self.method, "headers": self.headers}
        if self.method not in {"GET", "HEAD"} or self.form or self.body:
            options["data"] = _encoded(self.form).encode() if self.body is None else self.body
            if self.content_type is not None:
                options["content_type"] = self.content_type
        return web.open(address, **options)


def _encoded(pairs: Pairs) -> str:
    return urlencode(pairs, errors="surrogatepass")


@st.composite
def tampered(draw: st.DrawFn, sent: Sent) -> Sent:
    """`sent` with up to three changes."""
    ways = draw(st.lists(st.sampled_from(_MUTATIONS), min_size=1, max_size=3))
    for way in ways:
        sent = way(draw, sent)
    return sent


def _pairs(draw: st.DrawFn, sent: Sent, change: Any) -> Sent:
    """Change the pairs of the body, or of the query where there is no body."""
    where = "form" if sent.form else "query"
    return replace(sent, **{where: change(list(getattr(sent, where)))})


def _drop(draw: st.DrawFn, sent: Sent) -> Sent:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        return tuple(pairs)

    return _pairs(draw, sent, change)


def _double(draw: st.DrawFn, sent: Sent) -> Sent:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        return (*pairs, draw(st.sampled_from(pairs))) if pairs else ()

    return _pairs(draw, sent, change)


def _mistype(draw: st.DrawFn, sent: Sent) -> Sent:
    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            at = draw(st.integers(0, len(pairs) - 1))
            pairs[at] = (pairs[at][0], draw(odd))
        return tuple(pairs)

    return _pairs(draw, sent, change)


def _spoil(draw: st.DrawFn, sent: Sent) -> Sent:
    """A valid value with an odd text before, within or after it."""

    def change(pairs: list[tuple[str, str]]) -> Pairs:
        if pairs:
            at = draw(st.integers(0, len(pairs) - 1))
            name, value = pairs[at]
            cut = draw(st.integers(0, len(value)))
            pairs[at] = (name, value[:cut] + draw(odd) + value[cut:])
        return tuple(pairs)

    return _pairs(draw, sent, change)


def _add(draw: st.DrawFn, sent: Sent) -> Sent:
    added = (draw(st.sampled_from(NAMES) | odd), draw(odd))
    return _pairs(draw, sent, lambda pairs: (*pairs, added))


def _elsewhere(draw: st.DrawFn, sent: Sent) -> Sent:
    """Swap query and body, or send the parameters in both."""
    both = draw(st.booleans())
    return replace(sent, query=sent.query + sent.form, form=sent.form if both else ())


def _typed(draw: st.DrawFn, sent: Sent) -> Sent:
    return replace(sent, content_type=draw(st.sampled_from(TYPES)))


def _in_parts(draw: st.DrawFn, sent: Sent) -> Sent:
    """As multipart, where a field may be a file."""
    kinds = (
        "",
        '; filename="a.txt"\r\nContent-Type: text/plain',
        '; filename=""',
        "\r\nContent-Type: text/x; charset=u",
    )
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"{draw(st.sampled_from(kinds))}\r\n\r\n{value}\r\n'
        for name, value in sent.form
    ]
    body = "".join([*parts, "--x--\r\n"]).encode("utf-8", "surrogatepass")
    return replace(sent, body=body, content_type="multipart/form-data; boundary=x")


def _json(draw: st.DrawFn, sent: Sent) -> Sent:
    document = dict(sent.form) if draw(st.booleans()) else draw(anything)
    body = json.dumps(document).encode() if draw(st.booleans()) else draw(st.binary(max_size=60))
    return replace(sent, body=body, content_type=draw(st.sampled_from([FORM_CONTENT_TYPE, "application/json"])))


def _huge(draw: st.DrawFn, sent: Sent) -> Sent:
    name = draw(st.sampled_from(NAMES))
    return replace(sent, form=(*sent.form, (name, "x" * draw(st.sampled_from([9_000, 70_000, 300_000])))))


def _header(draw: st.DrawFn, sent: Sent) -> Sent:
    name = draw(
        st.sampled_from(["Authorization", "DPoP", "Origin", "Accept-Language", "Cookie", "If-None-Match", "User-Agent"])
    )
    return replace(sent, headers=sent.headers | {name: draw(header)})


def _method(draw: st.DrawFn, sent: Sent) -> Sent:
    return replace(sent, method=draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])))


_MUTATIONS = (
    _drop, _double, _mistype, _mistype, _spoil, _spoil, _add, _add, _elsewhere, _typed, _json, _in_parts, _huge,
    _header, _method,
)  # fmt: skip
