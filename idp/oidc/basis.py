"""What a code or a refresh token stands for: the content of all tokens of one lineage."""

from datetime import datetime
from typing import Any, NamedTuple


class Basis(NamedTuple):
    """What a code or a refresh token stands for: the content of the tokens issued for it."""

    client_id: str
    person_id: str
    estab_id: str
    authorisation_id: str
    lineage: str
    scopes: frozenset[str]
    resource: frozenset[str]
    dpop_jkt: str | None
    claims: dict[str, Any] | None
    auth_time: datetime
    acr: str
    amr: frozenset[str]
    sid: str
