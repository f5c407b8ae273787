"""Before Authlib chooses a grant: put a kept or signed request in place, then hold it to our rules.

One extension does all of it in order, because hooks on one event run in none (protocol.md §4.2, 13).
"""

from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oidc.core.authorization_request import JWTAuthenticationRequest
from authlib.oidc.core.errors import InvalidRequestObjectError

from idp.oidc import errors
from idp.oidc.authorization import checks, kept_requests, request_objects
from idp.oidc.incoming import AUTHORIZE, Request


class KeptRequests(JWTAuthenticationRequest):  # type: ignore[misc]  # Authlib has no types
    """What Authlib gives a place to as RFC 9101; of `request_uri` only our own URNs are understood."""

    def __init__(self) -> None:
        super().__init__(support_request=True, support_request_uri=False)

    def parse_authorization_request(self, authorization_server: AuthorizationServer, request: Request) -> None:
        """Client, kept request, request object, then every check.

        An error that may be redirected has `answer_to` by the time it is raised.
        """
        if request.endpoint == AUTHORIZE:
            request.client = checks.known_client(request)
            if fault := request.sent.wrong.get("request_uri"):
                raise errors.NotToBeRedirected("request_uri", fault)
            if kept_requests.is_ours(urn := request.sent.get("request_uri")):
                kept_requests.put_back(request, str(urn))
        if "request" in request.sent and not {"request", "request_uri"} & request.sent.wrong.keys():
            _open(request)
        checks.run(request)


def _open(request: Request) -> None:
    """Put what a request object says in the place of everything beside it."""
    if "request_uri" in request.sent:
        return  # the checks refuse both, in their turn
    try:
        request.payload.sent = request_objects.opened(
            str(request.sent.get("request")), request.client, request.sent.get("client_id")
        )
        request.is_signed = True
    except InvalidRequestObjectError:
        if request.endpoint == AUTHORIZE:
            checks.redirect_uri_is_registered(request)  # the one beside it says where to tell
        raise
