"""Checks of `idp doctor` for the scopes that are agreed to."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.foundation.scopes import known
from idp.partners.models import Client
from idp.sharing.models import Authorisation


def scopes() -> Iterator[Finding]:
    """Check that every scope that clients are registered for and schools agreed to is in `config/scopes.toml`."""
    registered = {
        client.id: client.required_scopes | client.optional_scopes | client.client_scopes
        for client in session().scalars(select(Client))
    }
    current = Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None)
    statement = select(Authorisation.scopes, func.count()).where(*current).group_by(Authorisation.scopes)
    registered_unknown = {client: unknown for client, names in registered.items() if (unknown := names - known(names))}
    agreed = [(unknown, number) for names, number in session().execute(statement) if (unknown := names - known(names))]
    for client, unknown in registered_unknown.items():
        do = "update its manifest, or restore the scope in config/scopes.toml"
        yield Finding("scopes", "warning", f"{client} is registered for {_listed(unknown)}, which is not known", do)
    if agreed:
        number, unknown = sum(count for _, count in agreed), frozenset().union(*(names for names, _ in agreed))
        counted = f"{number} agreement{'s' if number != 1 else ''}"
        yield Finding(
            "scopes", "warning", f"{counted} to {_listed(unknown)}, which is not known and not given",
            "nothing to do if it was removed on purpose; otherwise restore it in config/scopes.toml",
        )  # fmt: skip
    if not registered_unknown and not agreed:
        yield Finding("scopes", "ok", "all that are registered and agreed to are known")


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


CHECKS: Final[tuple[Check, ...]] = (scopes,)
