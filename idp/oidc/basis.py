"""What the tokens of one lineage say: a value that codes and refresh tokens stand for."""

from datetime import datetime
from typing import Any, NamedTuple


class Basis(NamedTuple):
    """What a code or a refresh token stands for: all that the tokens issued on it will say."""

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
