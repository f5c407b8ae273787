"""Names and hosts that a client which registers itself may not take, because they are, or look like, another's.

Names are compared by skeleton: what remains when letters that look alike are written alike (Unicode Technical Standard
39 §4). So "Assembly" with a Cyrillic A, "ASSEMBLY" and "Assemb1y" are one name.
"""

import re
import unicodedata
from typing import Final

from confusable_homoglyphs import confusables
from sqlalchemy import select

from idp.foundation import runtime
from idp.foundation.database import session
from idp.partners import uris
from idp.partners.metadata import InvalidClientMetadata
from idp.partners.models import Client, Partner

_ALIKE: Final = str.maketrans({"i": "l", "1": "l", "|": "l", "0": "o", "5": "s"})
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
"""Letters that look like one where they stand side by side."""


def skeleton(name: str) -> str:
    """What `name` looks like: equal for names that a person would take for one another."""
    plain = [mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark)]
    text = "".join([_latin(mark) for mark in plain]).casefold()
    text = "".join([mark for mark in text if mark.isalnum() or mark == "|"]).translate(_ALIKE)
    for pair, single in _PAIRS:
        text = text.replace(pair, single)
    return text


def check_name(name: str, partner_id: str) -> None:
    """Raise `InvalidClientMetadata` where `name` looks like our own, or like that of another partner or its clients."""
    looks_like, ours = skeleton(name), runtime.settings().service.name
    words = {skeleton(word) for word in re.split(r"[\W_]+", name)}
    if skeleton(ours) in words | {looks_like}:
        raise InvalidClientMetadata([("client_name", f"must not be, or look like, the name {ours}")])
    companies = session().scalars(select(Partner.name).where(Partner.id != partner_id))
    clients = session().scalars(select(Client.client_name).where(Client.partner_id != partner_id).distinct())
    if any(skeleton(each) == looks_like for each in {*companies, *clients}):
        raise InvalidClientMetadata([("client_name", "is, or looks like, the name of another partner's service")])


def check_sector(host: str | None, partner_id: str) -> None:
    """Raise `InvalidClientMetadata` where the sector of pairwise subjects is a host of another partner's.

    Both would know the same people by the same `sub`.
    """
    if host is None or host in {each.strip("[]") for each in uris.LOOPBACK}:
        return
    others = session().execute(
        select(Client.redirect_uris, Client.client_uri, Client.sector_identifier, Partner.website)
        .join(Partner, Partner.id == Client.partner_id)
        .where(Client.partner_id != partner_id)
    )
    for redirects, page, sector, website in others:
        if host in {sector, *(uris.host_of(each) for each in (*redirects, page, website) if each)}:
            raise InvalidClientMetadata([("subject_type", "pairwise needs a host that is no other partner's")])


def _latin(mark: str) -> str:
    """The Latin letters that `mark` looks like; itself where there are none."""
    if mark.isascii():
        return mark
    found = [each["c"] for each in confusables.confusables_data.get(mark, ()) if each["c"].isascii()]
    return str(found[0]) if found else mark
