"""Before Authlib chooses a grant: load a pending request or open a request object, then check it.

One extension does all of it in order, because hooks on one event run in none (protocol.md §4.2, 13).
"""

from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oidc.core.authorization_request import JWTAuthenticationRequest
from authlib.oidc.core.errors import InvalidRequestObjectError

from idp.oidc import errors
from idp.oidc.authorization import checks, pending_requests, request_objects
from idp.oidc.incoming import AUTHORIZE, Parameters, Request, SentRequest


class RequestSources(JWTAuthenticationRequest):  # type: ignore[misc]  # Authlib has no types
    """Authlib's extension for RFC 9101; the only `request_uri` values understood are our own URNs."""

    def __init__(self) -> None:
        super().__init__(support_request=True, support_request_uri=False)

    def parse_authorization_request(self, authorization_server: AuthorizationServer, request: Request) -> None:
        """Client, pending request, request object, then every check.

        An error that may be redirected is raised after `reply_to` was set.
        """
        if request.endpoint == AUTHORIZE:
            request.client = checks.known_client(request.sent)
        sent = _read(request)
        request.payload.sent = sent.parameters
        request.reply_to = checks.reply_to(sent.client, sent.parameters)
        request.checked = checks.check(sent, request.reply_to)


def _read(request: Request) -> SentRequest:
    """What the client sent: its parameters, or the pending request or request object that they stand for."""
    parameters, pending, is_signed = request.sent, None, False
    if request.endpoint == AUTHORIZE:
        if fault := parameters.wrong.get("request_uri"):
            raise errors.NotToBeRedirected("request_uri", fault)
        if pending_requests.is_ours(urn := parameters.get("request_uri")):
            pending, parameters = pending_requests.load(request.client, str(urn))
    if _has_request_object(parameters):
        parameters, is_signed = _open(request), True
    return SentRequest(request.client, request.endpoint, parameters, pending, is_signed, request.dpop_jkt)


def _has_request_object(sent: Parameters) -> bool:
    """Whether there is one that can be opened; one beside a `request_uri` is refused by the checks, in their turn."""
    return "request" in sent and "request_uri" not in sent and not {"request", "request_uri"} & sent.wrong.keys()


def _open(request: Request) -> Parameters:
    """The parameters of a request object, which replace those beside it."""
    sent = request.sent
    try:
        return request_objects.parameters_of(str(sent.get("request")), request.client, sent.get("client_id"))
    except InvalidRequestObjectError:
        if request.endpoint == AUTHORIZE:
            request.reply_to = checks.reply_to(request.client, sent)  # the address beside it, to which the error goes
        raise
