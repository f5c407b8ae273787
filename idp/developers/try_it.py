"""A real sign-in at a sandbox application: the console takes the application's place, and explains each step."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from idp.developers import applications, sandbox, trial_run
from idp.developers.trial_run import Exchange, Run, Send, format_json, format_parameters
from idp.foundation import crypto, runtime, scopes
from idp.foundation.errors import Refusal
from idp.partners import trial_keys, trial_secrets
from idp.partners.models import Client
from idp.signin.models import Developer

CLAIM_MEANINGS: Final[Mapping[str, str]] = {
    "iss": "Who issued it: us. Compare it, character by character.",
    "sub": "The person. It never changes and is never used for someone else.",
    "aud": "Who it is for: your client id in an ID Token, the URL of an API in an access token.",
    "exp": "When it ends, in seconds since 1970.",
    "iat": "When it was issued.",
    "jti": "Its unique id.",
    "auth_time": "When the person proved who they are; a sign-in may be older than the token.",
    "acr": "How strong that proof was.",
    "amr": "How it was given: pwd is a password, otp and hwk a second step.",
    "nonce": "The value that your application sent. It ties the token to this sign-in.",
    "sid": "This browser's session with us: back-channel logout names it.",
    "at_hash": "The first half of the hash of the access token that was issued with it.",
    "client_id": "Your application.",
    "scope": "What the school shares through this token. Read it each time: a school may leave areas out.",
    "estab_id": "The school.",
    "estab_status": "Whether our staff have verified the school; until then the token has no data scope.",
    "authorisation": "The school's agreement with your application, by its id.",
    "lineage": "All tokens that came from one sign-in. They end together.",
    "cnf": "The thumbprint of the key to which the token is bound: it works with a proof by that key alone.",
}  # fmt: skip
"""What the claims of our tokens mean."""


class CannotTry(Refusal):
    """The console cannot take this application's place."""

    code, status, title = "cannot_try", 409, "We cannot walk through a sign-in with this application"
    message = "This works with sandbox applications whose redirect URIs include ours."


@dataclass(frozen=True, slots=True)
class Step:
    """What was sent and what came back, without anything that is secret."""

    title: str
    explanation: str
    sent: str = ""
    received: str = ""
    has_failed: bool = False
    claims: tuple[tuple[str, str], ...] = ()
    """The claims of a token that came back, and what each means."""


def prepare(developer: Developer, client_id: str, scope: str) -> Run:
    """Begin a run; its secret and keys do not work until `add_trial_credentials` is called.

    Raises `UnknownApplication` and `CannotTry`.
    """
    client = applications.find(developer, client_id)
    if not sandbox.has_try_it(client):
        raise CannotTry(reason=client_id)
    return trial_run.begin(client, scope)


def add_trial_credentials(run: Run, *, by: str) -> None:
    """Let the application authenticate with the run's secret and keys, for half an hour at most."""
    if run.secret is not None:
        trial_secrets.add(run.client_id, run.secret, by=by)
    if run.keys:
        trial_keys.add(run.client_id, run.keys, by=by)


def remove_trial_credentials(run: Run) -> None:
    """Remove what `add_trial_credentials` added."""
    if run.secret is not None:
        trial_secrets.remove(run.client_id, run.secret)
    if run.keys:
        trial_keys.remove(run.client_id, run.keys)


def push(run: Run, send: Send) -> Run:
    """Push the authorization request of a run whose application does so; returns the run with what came back."""
    if not run.is_pushed:
        return run
    exchange = run.post("/oauth/par", run.sent_parameters(), send)
    response, was_accepted = _parse(exchange.reply.body), exchange.reply.status == 201
    explanation = (
        "The whole request goes from its server to ours, so no one can change it on its way (PAR, RFC 9126). It makes "
        "a state, a nonce and a code verifier for this sign-in, and stores them; the code challenge is the SHA-256 of "
        "the verifier (PKCE, RFC 7636). The request_uri in the response represents it, and works once."
        if was_accepted
        else "It was refused. error_description says what to change."
    )
    step = Step(
        "Your application pushes its request", explanation + _describe_authentication(run, exchange),
        sent=exchange.shown, received=_received(exchange, response), has_failed=not was_accepted,
    )  # fmt: skip
    return replace(run, request_uri=str(response.get("request_uri", "")), first_steps=(asdict(step),))


def has_failed(run: Run) -> bool:
    """Whether the browser need not be sent, because the pushed request was refused."""
    return run.is_pushed and not run.request_uri


def suggested_scope(client: Client) -> str:
    """What a first request may ask for: what the application requires, and data that every school has."""
    return scopes.format(client.required_scopes | ({"organisation", "school", "students"} & client.scopes))


def explain_response(run: Run, response: Mapping[str, str]) -> tuple[list[Step], bool]:
    """The authorization request and the response to it; and whether there is a code to continue with."""
    steps = [Step(**{**step, "claims": tuple(step["claims"])}) for step in run.first_steps]
    if has_failed(run):
        return steps, False
    issuer = runtime.settings().server.issuer
    steps.append(_explain_request(run, issuer))
    has_state = crypto.constant_time_compare(crypto.digest(response.get("state", "")), crypto.digest(run.state))
    if not has_state or response.get("iss") != issuer or "code" not in response:
        explanation = (
            "It carries an error. error_description says what to change."
            if has_state
            else "Its state is not the one that was sent. Someone else may have begun this: an application must stop."
        )
        return [
            *steps,
            Step("The browser returns", explanation, received=format_parameters(response), has_failed=True),
        ], False
    came_back = Step(
        "The browser returns with a code",
        "state is the one that was sent, and iss is our issuer (RFC 9207): your application compares both. The code "
        "works once, and for a short time.",
        received=f"GET {sandbox.try_it_url()}?\n{format_parameters(response)}",
    )
    return [*steps, came_back], True


def exchange(run: Run, code: str, send: Send) -> list[Step]:
    """Exchange the code, decode the tokens, ask userinfo, and revoke what was issued."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": sandbox.try_it_url(),
        "code_verifier": run.verifier,
    }  # fmt: skip
    exchange = run.post("/oauth/token", form, send)
    tokens, was_accepted = _parse(exchange.reply.body), exchange.reply.status == 200
    accepted = (
        "From its server to ours. Read scope in the response: a school may leave areas out. withheld_scope names what "
        "will be added once the school is verified."
    )
    refused = "It was refused. error_description says why, and the log of failed requests has more."
    explanation = (accepted if was_accepted else refused) + _describe_authentication(run, exchange)
    step = Step(
        "Your application exchanges the code", explanation,
        sent=exchange.shown, received=_received(exchange, tokens), has_failed=not was_accepted,
    )  # fmt: skip
    if not was_accepted:
        return [step]
    return [step, *_read_tokens(run, tokens), _ask_userinfo(run, tokens, send), _revoke(run, tokens, send)]


def _explain_request(run: Run, issuer: str) -> Step:
    explanation = (
        "The URL has only a reference to the request that was pushed."
        if run.is_pushed
        else "It makes a state, a nonce and a code verifier for this sign-in, and stores them. The code challenge is "
        "the SHA-256 of the verifier (PKCE, RFC 7636)."
    )
    if run.request_key is not None and not run.is_pushed:
        explanation += " All of it is in a JWT that your application signs (RFC 9101)."
    sent = f"GET {issuer}/oauth/authorize?\n{format_parameters(run.browser_parameters())}"
    return Step("Your application sends the browser to us", explanation, sent=sent)


def _describe_authentication(run: Run, exchange: Exchange) -> str:
    """How the application proved who it is, and that it has the key of its tokens."""
    method = {
        "private_key_jwt": " It proves who it is by client_assertion, a JWT that it signs for this request alone "
        "(RFC 7523). This trial signs with a key of the console; your application uses its own.",
        "client_secret_jwt": " It proves who it is by client_assertion, a JWT signed with its secret (RFC 7523).",
        "client_secret_basic": " It proves who it is by its secret, in a header.",
        "client_secret_post": " It proves who it is by its secret, in the form.",
        "none": " It has no secret: the verifier alone proves that it began the sign-in.",
    }[run.method]
    if run.dpop_key is not None:
        method += " The proof in the DPoP header binds the tokens to its key (RFC 9449)."
    if exchange.has_repeated:
        method += " We asked for a nonce in the proof (use_dpop_nonce), so it sent the request a second time, with it."
    return method


def _read_tokens(run: Run, tokens: Mapping[str, Any]) -> list[Step]:
    steps = []
    if (id_token := trial_run.decode_unverified(tokens.get("id_token", ""))) is not None:
        nonce = " nonce is the one that was sent." if id_token[1].get("nonce") == run.nonce else ""
        explanation = (
            f"Its signature with our keys, and iss, aud and exp.{nonce} sub is the person: store it, and nothing else, "
            "as their key."
        )
        steps.append(_token_step("Your application checks the ID Token", explanation, id_token))
    if (access := trial_run.decode_unverified(tokens.get("access_token", ""))) is not None:
        explanation = "Your application passes it on to APIs, which verify it (RFC 9068). It does not read it."
        steps.append(_token_step("The access token is for APIs", explanation, access))
    return steps


def _token_step(title: str, explanation: str, token: tuple[dict[str, Any], dict[str, Any]]) -> Step:
    claims = tuple((name, CLAIM_MEANINGS[name]) for name in token[1] if name in CLAIM_MEANINGS)
    return Step(title, explanation, received="\n".join(map(format_json, token)), claims=claims)


def _ask_userinfo(run: Run, tokens: Mapping[str, Any], send: Send) -> Step:
    exchange = run.get_userinfo(tokens["access_token"], send)
    explanation = "Userinfo returns the current claims of the scopes that the school agreed to."
    if run.dpop_key is not None:
        explanation += " The proof names the request and the hash of the token (ath)."
    response = _parse(exchange.reply.body)
    by_scope = [(name, f"By the scope {scope}.") for scope, names in scopes.CLAIMS.items() for name in names]
    claims = [("sub", CLAIM_MEANINGS["sub"]), *(claim for claim in by_scope if claim[0] in response)]
    return Step(
        "Your application asks who it is", explanation, sent=exchange.shown, received=_received(exchange, response),
        has_failed=exchange.reply.status != 200, claims=tuple(claims),
    )  # fmt: skip


def _revoke(run: Run, tokens: Mapping[str, Any], send: Send) -> Step:
    form = {"token": tokens.get("refresh_token") or tokens["access_token"]}
    exchange = run.post("/oauth/revoke", form, send, proves=False)
    return Step(
        "The tokens are revoked",
        "This was a trial, so its tokens are revoked (RFC 7009). The school's authorisation stays.",
        sent=exchange.shown, received=str(exchange.reply.status), has_failed=exchange.reply.status != 200,
    )  # fmt: skip


def _received(exchange: Exchange, response: Mapping[str, Any]) -> str:
    return f"{exchange.reply.status}\n{format_json(response)}"


def _parse(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
