"""The document behind `sector_identifier_uri` (OpenID Connect Core §8.1), which binds several hosts into one sector."""

import json

from idp.foundation import runtime
from idp.foundation.web import fetch
from idp.partners.metadata import InvalidClientMetadata


def check(uri: str | None, redirect_uris: list[str]) -> None:
    """Raise `InvalidClientMetadata` unless the document at `uri` lists every redirect URI. Does nothing for None.

    It makes an HTTP request, so call it before the transaction begins.
    """
    if uri is None:
        return
    try:
        response = fetch.get(uri, fetch.for_partner(runtime.settings().fetch))
        document = json.loads(response.body) if response.status == 200 else None
    except (fetch.FetchFailed, ValueError, RecursionError):
        document = None
    if not isinstance(document, list):
        raise InvalidClientMetadata([("sector_identifier_uri", "does not lead to a JSON array of redirect URIs")])
    if any(redirect_uri not in document for redirect_uri in redirect_uris):
        raise InvalidClientMetadata([("sector_identifier_uri", "does not list every one of redirect_uris")])
