"""The document behind `sector_identifier_uri` (OpenID Connect Core §8.1), which binds several hosts into one sector."""

import json

from idp.foundation import runtime
from idp.foundation.web import fetch
from idp.partners.metadata import InvalidClientMetadata


def check(uri: str | None, redirect_uris: list[str]) -> None:
    """Raise `InvalidClientMetadata` unless the document at `uri` lists every redirect URI; nothing to do without one.

    Asks the network, so call it before the database is touched.
    """
    if uri is None:
        return
    try:
        answer = fetch.get(uri, fetch.for_partner(runtime.settings().fetch))
        listed = json.loads(answer.body) if answer.status == 200 else None
    except (fetch.FetchFailed, ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise InvalidClientMetadata([("sector_identifier_uri", "does not lead to a JSON array of redirect URIs")])
    if any(each not in listed for each in redirect_uris):
        raise InvalidClientMetadata([("sector_identifier_uri", "does not list every one of redirect_uris")])
