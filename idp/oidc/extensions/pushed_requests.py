"""Before Authlib chooses a grant: put a kept request back in place, then hold the request to our rules.

One extension does all of it in order, because hooks on one event run in none (protocol.md §4.2, 13).
"""

from authlib.oauth2.rfc6749 import AuthorizationServer
from authlib.oidc.core.authorization_request import JWTAuthenticationRequest

from idp.oidc import checks, errors, requests
from idp.oidc.incoming import AUTHORIZE, Request


class KeptRequests(JWTAuthenticationRequest):  # type: ignore[misc]  # Authlib has no types
    """What Authlib gives a place to as RFC 9101; of `request_uri` only our own URNs are understood."""

    def __init__(self) -> None:
        super().__init__(support_request=False, support_request_uri=False)

    def parse_authorization_request(self, authorization_server: AuthorizationServer, request: Request) -> None:
        """Client, kept request, then every check: an error that may be redirected has `answer_to` by then."""
        if request.endpoint == AUTHORIZE:
            request.client = checks.known_client(request)
            if fault := request.sent.wrong.get("request_uri"):
                raise errors.NotToBeRedirected("request_uri", fault)
            if requests.is_ours(urn := request.sent.get("request_uri")):
                requests.put_back(request, str(urn))
        checks.run(request)
