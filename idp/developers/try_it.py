"""A real sign-in at a sandbox application: the console takes the application's place, and explains each step."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from idp.developers import applications, sandbox
from idp.foundation import crypto, runtime, scopes
from idp.foundation.errors import Refusal
from idp.partners.models import Client
from idp.signin.models import Developer

SHOWN_LETTERS: Final = 6
"""How much is shown of a code, a token or a verifier: enough to recognise it."""
_HIDDEN: Final = frozenset({"code", "access_token", "refresh_token", "id_token", "code_verifier", "token"})


class NotPossible(Refusal):
    """The console cannot take this application's place."""

    code, status, title = "cannot_try", 409, "We cannot walk through a sign-in with this application"
    message = (
        "This works with sandbox applications that have a secret or are public, and whose redirect URIs include ours."
    )


class Reply(NamedTuple):
    """The response to a request of the console's own."""

    status: int
    body: str


Send = Callable[[str, str, Mapping[str, str], Mapping[str, str] | None], Reply]
"""Sends a request to us: method, path, headers and form."""


@dataclass(frozen=True, slots=True)
class Run:
    """A sign-in that was begun. It is stored for the browser, encrypted."""

    client_id: str
    method: str
    """How the application authenticates."""
    scope: str
    verifier: str = field(default_factory=crypto.new_secret)
    state: str = field(default_factory=crypto.new_secret)
    nonce: str = field(default_factory=crypto.new_secret)
    secret: str | None = None

    def to_json(self) -> bytes:
        """For `of_json`."""
        return json.dumps(asdict(self)).encode()

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the authorization request."""
        digest = crypto.digest(self.verifier)
        return {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": sandbox.try_it_address(),
            "scope": self.scope, "state": self.state, "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
        }  # fmt: skip

    @property
    def address(self) -> str:
        """Where the browser is sent."""
        return f"/oauth/authorize?{urlencode(self.parameters)}"


@dataclass(frozen=True, slots=True)
class Step:
    """What was sent and what came back, without anything that is secret."""

    title: str
    explanation: str
    sent: str = ""
    received: str = ""
    has_failed: bool = False


def of_json(content: bytes) -> Run:
    """The run that `Run.to_json` wrote."""
    return Run(**json.loads(content))


def prepare(developer: Developer, client_id: str, scope: str) -> Run:
    """Begin a run; its secret, if it has one, is not the application's yet (`partners.trial_secrets`).

    Raises `UnknownApplication` and `NotPossible`.
    """
    client = applications.find(developer, client_id)
    if not sandbox.has_try_it(client):
        raise NotPossible(reason=client_id)
    secret = None if client.is_public else crypto.new_secret()
    return Run(client.id, client.token_endpoint_auth_method, scope, secret=secret)


def suggested_scope(client: Client) -> str:
    """What a first request may ask for: what the application requires, and data that every school has."""
    return scopes.format(client.required_scopes | ({"organisation", "school", "students"} & client.scopes))


def explain_answer(run: Run, answer: Mapping[str, str]) -> tuple[list[Step], bool]:
    """The authorization request and the response to it; and whether there is a code to go on with."""
    issuer = runtime.settings().server.issuer
    request = Step(
        "Your application sends the browser to us",
        "It makes a state, a nonce and a code verifier for this sign-in, and stores them. The code challenge is the "
        "SHA-256 of the verifier (PKCE, RFC 7636).",
        sent=f"GET {issuer}/oauth/authorize?\n{_lines(run.parameters)}",
    )
    has_state = crypto.same(crypto.digest(answer.get("state", "")), crypto.digest(run.state))
    if not has_state or answer.get("iss") != issuer or "code" not in answer:
        explanation = (
            "It carries an error. error_description says what to change."
            if has_state
            else "Its state is not the one that was sent, so somebody else may have begun this: it is thrown away."
        )
        return [request, Step("The browser comes back", explanation, received=_lines(answer), has_failed=True)], False
    came_back = Step(
        "The browser comes back with a code",
        "state is the one that was sent, and iss is our issuer (RFC 9207): your application compares both. The code "
        "works once, and for a short time.",
        received=f"GET {sandbox.try_it_address()}?\n{_lines(answer)}",
    )
    return [request, came_back], True


def exchange(run: Run, code: str, send: Send) -> list[Step]:
    """Exchange the code, decode the tokens, ask userinfo, and revoke what was issued."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": sandbox.try_it_address(),
        "code_verifier": run.verifier,
    }  # fmt: skip
    headers = _authenticate(run, form)
    reply = send("POST", "/oauth/token", headers, form)
    tokens = _parse(reply.body)
    accepted = (
        "From its server to ours, with its secret or, without one, by the verifier alone. Read scope in the answer: a "
        "school may leave areas out. withheld_scope names what comes once the school is verified."
    )
    refused = "It was refused. error_description says why, and the log of failed requests has more."
    step = Step(
        "Your application exchanges the code", accepted if reply.status == 200 else refused,
        sent=_shown("POST /oauth/token", headers, form), received=f"{reply.status}\n{_json(tokens)}",
        has_failed=reply.status != 200,
    )  # fmt: skip
    if reply.status != 200:
        return [step]
    return [step, *_read_tokens(run, tokens), _ask_userinfo(tokens, send), _revoke(run, tokens, send)]


def _read_tokens(run: Run, tokens: Mapping[str, Any]) -> list[Step]:
    steps = []
    if (id_token := _decoded(tokens.get("id_token", ""))) is not None:
        nonce = " nonce is the one that was sent." if id_token[1].get("nonce") == run.nonce else ""
        explanation = (
            f"Its signature with our keys, and iss, aud and exp.{nonce} sub is the person: store it, and nothing else, "
            "as their key."
        )
        received = "\n".join(map(_json, id_token))
        steps.append(Step("Your application checks the ID Token", explanation, received=received))
    if (access := _decoded(tokens.get("access_token", ""))) is not None:
        explanation = "Your application passes it on and does not read it. APIs check it (RFC 9068)."
        steps.append(Step("The access token is for APIs", explanation, received="\n".join(map(_json, access))))
    return steps


def _ask_userinfo(tokens: Mapping[str, Any], send: Send) -> Step:
    reply = send("GET", "/oauth/userinfo", {"Authorization": f"Bearer {tokens['access_token']}"}, None)
    return Step(
        "Your application asks who it is",
        "userinfo has the claims of the scopes that were agreed to, as they are now.",
        sent="GET /oauth/userinfo\nAuthorization: Bearer (the access token)",
        received=f"{reply.status}\n{_json(_parse(reply.body))}",
        has_failed=reply.status != 200,
    )


def _revoke(run: Run, tokens: Mapping[str, Any], send: Send) -> Step:
    form = {"token": tokens.get("refresh_token") or tokens["access_token"]}
    headers = _authenticate(run, form)
    reply = send("POST", "/oauth/revoke", headers, form)
    return Step(
        "The tokens are thrown away",
        "This was a trial, so its tokens are revoked (RFC 7009). The school’s authorisation stays.",
        sent=_shown("POST /oauth/revoke", headers, form), received=str(reply.status), has_failed=reply.status != 200,
    )  # fmt: skip


def _authenticate(run: Run, form: dict[str, str]) -> dict[str, str]:
    """The headers of a request that the application authenticates; some methods add to the form instead."""
    if run.secret is None:
        form["client_id"] = run.client_id
        return {}
    if run.method == "client_secret_post":
        form |= {"client_id": run.client_id, "client_secret": run.secret}
        return {}
    pair = f"{quote(run.client_id, safe='')}:{quote(run.secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _shown(line: str, headers: Mapping[str, str], form: Mapping[str, str]) -> str:
    lines = [line, *(["Authorization: Basic (client id and secret)"] if headers else [])]
    hidden = {**form, "client_secret": "(the secret)"} if "client_secret" in form else form
    return "\n".join([*lines, _lines(hidden)])


def _decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of a JWT, for showing them."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    return header, claims


def _parse(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={_short(value) if name in _HIDDEN else value}" for name, value in values.items())


def _json(values: Mapping[str, Any]) -> str:
    shown = {name: _short(value) if name in _HIDDEN else value for name, value in values.items()}
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _short(value: str) -> str:
    return f"{value[:SHOWN_LETTERS]}… ({len(value)} characters)"
