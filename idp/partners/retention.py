"""How long rows about partners and their clients are kept (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, KeepAll, Rule
from idp.partners.models import (
    Client,
    ClientEvent,
    ClientMilestone,
    ClientSecret,
    InitialAccessToken,
    Partner,
    RegistrationRequest,
    RegistrationToken,
    TrialKey,
)

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(ClientEvent.last_at, "client_events"),
    DeleteAfter(TrialKey.expires_at, "expired"),
    KeepAll(Partner, "agreements refer to them; operators disable them"),
    KeepAll(Client, "agreements refer to them, and no client_id is reused; unused sandbox ones are removed by a job"),
    KeepAll(ClientMilestone, "three for each sandbox application"),
    KeepAll(ClientSecret, "they show which secret was valid when, and there are few"),
    KeepAll(InitialAccessToken, "they show how a client was registered, and operators issue them by hand"),
    KeepAll(
        RegistrationRequest, "they show what our staff approved and why; 5 wait for each partner, 20 are made a day"
    ),
    KeepAll(RegistrationToken, "one for each client that registered itself"),
)
