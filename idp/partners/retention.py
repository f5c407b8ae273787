"""How long rows about partners and their clients are kept (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepAll, Rule
from idp.partners.models import Client, ClientEvent, ClientSecret, InitialAccessToken, Partner, RegistrationToken

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(ClientEvent.last_at, "client_events"),
    KeepAll(Partner, "agreements name them; operators disable them"),
    KeepAll(Client, "agreements name them, and no client_id is given again"),
    KeepAll(ClientSecret, "when which secret was good is history, and there are few"),
    KeepAll(InitialAccessToken, "who was let in by which is history, and operators make them by hand"),
    KeepAll(RegistrationToken, "one for each client that registered itself"),
)
