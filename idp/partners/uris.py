"""Validate the URIs that a client may register: redirects, login and logout, pages and documents.

Strict at registration, so that everything later can compare character by character. The functions return
the URI or raise `ValueError` with a reason that never quotes it.
"""

import string
from urllib.parse import SplitResult, parse_qsl, urlsplit

MAX_LENGTH = 2048
"""In characters."""
LOOPBACK = frozenset({"127.0.0.1", "[::1]"})
"""Hosts of the person's own machine (RFC 8252 §7.3)."""
RESPONSE_PARAMETERS = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "response", "session_state"}
)
"""Parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207, JARM, OpenID Connect Session Management)."""
LOGIN_PARAMETERS = frozenset({"iss", "login_hint", "target_link_uri"})
"""Parameters that a third party adds to `initiate_login_uri` (OpenID Connect Core §4)."""
_ALLOWED = frozenset(string.ascii_letters + string.digits + "-._~:/?@!$&'()+,;=%[]")
"""RFC 3986 §2, without the fragment's # and without *, which could be mistaken for a pattern."""
_LABEL = frozenset(string.ascii_lowercase + string.digits + "-")


def redirect(uri: str, *, profile: str, public: bool, local: bool) -> str:
    """A redirect URI: https, http on the person's own machine, or an app's own scheme (RFC 8252 §7).

    `local` also allows http://localhost, which is for development: the machine decides what that name resolves to.
    The profile `fapi2` takes https alone, and in development http://localhost (FAPI 2.0 Security Profile §5.3.2.2).
    """
    parts = _split(uri)
    _refuse_parameters(parts, RESPONSE_PARAMETERS)
    if parts.scheme not in {"http", "https"}:
        return _own_scheme(uri, parts, allowed=public and profile == "oidc")
    host = _host(parts)
    if parts.scheme == "http":
        if profile == "fapi2" and not (local and host == "localhost"):
            also = ", or http://localhost with a port," if local else ""
            raise ValueError(f"must be https{also} for the profile fapi2")
        if host not in LOOPBACK and not (local and host == "localhost"):
            raise ValueError("must be https, or http on 127.0.0.1 or [::1]")
    return uri


def after_logout(uri: str, *, profile: str, public: bool, local: bool) -> str:
    """A URI to go to after signing out: a page, or an app by its scheme or on the person's own machine.

    RP-Initiated Logout 1.0 §3, RFC 8252 §7.
    """
    parts = _split(uri)
    _refuse_parameters(parts, RESPONSE_PARAMETERS)
    is_app = public and profile == "oidc"
    if parts.scheme not in {"http", "https"}:
        return _own_scheme(uri, parts, allowed=is_app)
    if is_app and parts.scheme == "http" and _host(parts) in LOOPBACK:
        return uri
    return web(uri, local=local)


def login(uri: str, *, local: bool) -> str:
    """An `initiate_login_uri`, to which third parties add parameters (OpenID Connect Core §4)."""
    _refuse_parameters(_split(uri), LOGIN_PARAMETERS)
    return web(uri, local=local)


def web(uri: str, *, local: bool) -> str:
    """The URL of a page or document: https; `local` also allows http on the machine itself."""
    parts = _split(uri)
    host = _host(parts)
    if parts.scheme != "https" and not (local and parts.scheme == "http" and host in LOOPBACK | {"localhost"}):
        raise ValueError("must be https")
    return uri


def is_port(text: str) -> bool:
    """Whether `text` is a port number in its usual form: 1 to 65535, in ASCII digits, without a leading zero."""
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 5 and int(text) <= 65535


def host_of(uri: str) -> str:
    """The host of a registered URI, without its port; empty for an app's own scheme."""
    return urlsplit(uri).hostname or ""


def _split(uri: str) -> SplitResult:
    """Parse the URI, after refusing everything that parsers are known to disagree about."""
    if not 0 < len(uri) <= MAX_LENGTH:
        raise ValueError(f"must have 1 to {MAX_LENGTH} characters")
    if "#" in uri:
        raise ValueError("must not have a fragment")
    if not _ALLOWED.issuperset(uri):
        raise ValueError("has a character that is not allowed in a URI (no spaces, quotes, backslashes or *)")
    if not all(_is_hex(escape[:2]) for escape in uri.split("%")[1:]):
        raise ValueError("has a % that is not followed by two hexadecimal digits")
    try:
        parts = urlsplit(uri)
    except ValueError:  # its message would quote the URI
        raise ValueError("has a host that cannot be read") from None
    if not parts.scheme or not uri.startswith(f"{parts.scheme}:"):
        raise ValueError("must begin with a scheme in small letters, such as https:")
    segments = parts.path.lower().replace("%2e", ".").split("/")
    if "." in segments or ".." in segments:
        raise ValueError("must not have . or .. in its path")
    return parts


def _refuse_parameters(parts: SplitResult, reserved: frozenset[str]) -> None:
    """Raise if the query has a parameter that we add: the receiver would get two, and might read the wrong one."""
    names = {name for name, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)}
    if conflicting := sorted(names & reserved):
        raise ValueError(f"must not have {', '.join(conflicting)} in its query: we add it")


def _host(parts: SplitResult) -> str:
    """The host of an http or https URI, as written."""
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must be https")
    if "@" in parts.netloc:
        raise ValueError("must not have a user name or password")
    host, colon, port = parts.netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host = parts.netloc
    elif not is_port(port):
        raise ValueError("has an invalid port")
    labels = host.split(".")
    if host not in LOOPBACK and not all(_is_label(label) for label in labels):
        raise ValueError("has a host that is not a name in small letters")
    if any(label.startswith("xn--") for label in labels):
        raise ValueError("must not have an internationalised host: its letters could be mistaken for others")
    if not parts.path.startswith("/") and host in LOOPBACK:
        raise ValueError("must have a path after the loopback address")
    return host


def _is_label(text: str) -> bool:
    return 0 < len(text) <= 63 and _LABEL.issuperset(text) and text[0] != "-" != text[-1]


def _is_hex(text: str) -> bool:
    return len(text) == 2 and all(char in string.hexdigits for char in text)


def _own_scheme(uri: str, parts: SplitResult, *, allowed: bool) -> str:
    """A private-use scheme, named backwards after a domain: `uk.example.app:/signed-in` (RFC 8252 §7.1)."""
    if not allowed:
        raise ValueError("must be https, or http on 127.0.0.1 or [::1]")
    labels = parts.scheme.split(".")
    if len(labels) < 2 or not all(_is_label(label) for label in labels):
        raise ValueError("must be https, or a scheme that is a domain named backwards, such as uk.example.app:")
    if parts.netloc or not parts.path.startswith("/") or uri.startswith(f"{parts.scheme}://"):
        raise ValueError("must have one slash after an app's own scheme: uk.example.app:/signed-in")
    return uri
