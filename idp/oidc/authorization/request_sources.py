"""Before Authlib chooses a grant: load a pending request or open a request object, then check it.

One extension does all of it, because Authlib runs several hooks of one event in no fixed order (protocol.md §4.2, 13).
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
        """Find the client, load the pending request or the request object, then set `request.checked`.

        OAuth errors that are raised once `request.reply_to` is set are sent to the redirect URI.
        """
        if request.endpoint == AUTHORIZE:
            request.client = checks.find_client(request.sent)
        sent = _read(request)
        request.payload.sent = sent.parameters
        request.reply_to = checks.reply_to(sent.client, sent.parameters)
        request.checked = checks.check(sent, request.reply_to)


def _read(request: Request) -> SentRequest:
    """The request with its parameters, or those of the pending request or request object that it refers to."""
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
    """Whether there is a request object to open; one together with a `request_uri` is refused later, by the checks."""
    return "request" in sent and "request_uri" not in sent and not {"request", "request_uri"} & sent.wrong.keys()


def _open(request: Request) -> Parameters:
    """The parameters in the request object, which replace those sent with it."""
    sent = request.sent
    try:
        return request_objects.parameters_of(str(sent.get("request")), request.client, sent.get("client_id"))
    except InvalidRequestObjectError:
        if request.endpoint == AUTHORIZE:
            request.reply_to = checks.reply_to(request.client, sent)  # from the parameters sent with it
        raise
