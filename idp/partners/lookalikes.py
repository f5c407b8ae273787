"""Refuse names and hosts of self-registering clients that equal, or look like, those of another partner.

Names are compared by skeleton, in which letters that look alike are replaced by one of them (Unicode Technical Standard
39 §4). So "Assembly" with a Cyrillic A, "ASSEMBLY" and "Assemb1y" are one name.
"""

import re
import unicodedata
from typing import Final

from sqlalchemy import select

from idp.foundation import runtime
from idp.foundation.database import session
from idp.partners import uris
from idp.partners.metadata import InvalidClientMetadata
from idp.partners.models import Client, Partner

_SIMILAR_LETTERS: Final = str.maketrans({"i": "l", "1": "l", "|": "l", "0": "o", "5": "s"})
_SIMILAR_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
"""Pairs of letters that look like a single one."""


def skeleton(name: str) -> str:
    """The skeleton of `name`: equal for names that a person could confuse."""
    letters = [letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter)]
    text = "".join([_latin_lookalike(letter) for letter in letters]).casefold()
    text = "".join([letter for letter in text if letter.isalnum() or letter == "|"]).translate(_SIMILAR_LETTERS)
    for pair, single in _SIMILAR_PAIRS:
        text = text.replace(pair, single)
    return text


def check_name(name: str, partner_id: str) -> None:
    """Raise `InvalidClientMetadata` if `name` looks like our own, or like that of another partner or its clients."""
    looks_like, own_name = skeleton(name), runtime.settings().service.name
    words = {skeleton(word) for word in re.split(r"[\W_]+", name)}
    if skeleton(own_name) in words | {looks_like}:
        raise InvalidClientMetadata([("client_name", f"must not be, or look like, the name {own_name}")])
    companies = session().scalars(select(Partner.name).where(Partner.id != partner_id))
    clients = session().scalars(select(Client.client_name).where(Client.partner_id != partner_id).distinct())
    if any(skeleton(other) == looks_like for other in {*companies, *clients}):
        raise InvalidClientMetadata([("client_name", "is, or looks like, the name of another partner's service")])


def check_sector(host: str | None, partner_id: str) -> None:
    """Raise `InvalidClientMetadata` if the sector of pairwise subjects is a host of another partner.

    Both would receive the same `sub` for the same person.
    """
    if host is None or host in {uri.strip("[]") for uri in uris.LOOPBACK}:
        return
    rows = session().execute(
        select(Client.redirect_uris, Client.client_uri, Client.sector_identifier, Partner.website)
        .join(Partner, Partner.id == Client.partner_id)
        .where(Client.partner_id != partner_id)
    )
    for redirects, page, sector, website in rows:
        if host in {sector, *(uris.host_of(uri) for uri in (*redirects, page, website) if uri)}:
            raise InvalidClientMetadata([("subject_type", "pairwise needs a host that no other partner has")])


def _latin_lookalike(letter: str) -> str:
    """The Latin letter that `letter` looks like; itself if there is none."""
    if letter.isascii():
        return letter
    from confusable_homoglyphs import confusables  # 8 MB of tables, for the few names with other letters

    lookalikes = [entry["c"] for entry in confusables.confusables_data.get(letter, ()) if entry["c"].isascii()]
    return str(lookalikes[0]) if lookalikes else letter
