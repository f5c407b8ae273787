"""Write audit entries, in the transaction of the change that they record."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, cast

from sqlalchemy import Table, delete, insert, select

from idp.audit.models import Details, Entry
from idp.foundation import clock
from idp.foundation.database import connection

_SALT_BYTES = 32


def record(
    event: str,
    /,
    *,
    by: str,
    estab: str | None = None,
    client: str | None = None,
    subject: str | None = None,
    details: Mapping[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Record that `event` (a constant of `events`) was done by `by`; undone if the transaction is.

    `by` is the id of an administrator, operator or client, or `cli`, `system`, `stranger`; `subject` the id
    of what it was done to. `facts` are ids, codes, numbers, times and sets of them, for ever. Personal
    data (a name, an e-mail address) goes into `details`, which can be erased without breaking the chain.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    plain_details = _to_json_types(details) if details else None
    entry = {
        "at": clock.now(), "event": event, "actor": by, "estab": estab, "client": client, "subject": subject,
        "facts": _to_json_types(facts), "details_digest": salted(salt, plain_details) if plain_details else None,
    }  # fmt: skip
    entries = cast("Table", Entry.__table__)
    entry_id = connection().execute(insert(entries).returning(entries.c.id), entry).scalar_one()
    if plain_details:
        details_row = {"entry_id": entry_id, "salt": salt, "said": plain_details}
        connection().execute(insert(cast("Table", Details.__table__)), details_row)


def erase(estab: str) -> None:
    """Erase the personal details of every entry about an estab (its internal id); the entries and their chain stay."""
    entry_ids = select(Entry.id).where(Entry.estab == estab)
    connection().execute(delete(Details).where(Details.entry_id.in_(entry_ids)))


def salted(salt: bytes, details: object) -> bytes:
    """The digest of an entry's details: SHA-256 of the salt and the canonical JSON."""
    return hashlib.sha256(salt + canonical(details)).digest()


def canonical(value: object) -> bytes:
    """Canonical JSON, so that equal values have equal hashes on every database."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _to_json_types(value: Any) -> Any:
    """`value` with only types of JSON, so that it is read back as it was hashed."""
    if isinstance(value, Mapping):
        return {str(name): _to_json_types(item) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_to_json_types(item) for item in value)
    if isinstance(value, list | tuple):
        return [_to_json_types(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"an audit entry cannot hold a {type(value).__name__}")
