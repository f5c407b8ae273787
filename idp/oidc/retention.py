"""How long the protocol's rows are kept (security.md §6.4)."""

from typing import Final

from idp.foundation.retention import DeleteAfter, Rule
from idp.oidc.models import AuthorizationRequest, Code, DeviceCode, RefreshFamily, Revoked, UsedJti

RETENTION: Final[tuple[Rule, ...]] = (
    DeleteAfter(AuthorizationRequest.expires_at, "expired"),
    DeleteAfter(Code.expires_at, "expired"),
    DeleteAfter(DeviceCode.expires_at, "expired"),
    DeleteAfter(RefreshFamily.expires_at, "expired"),
    DeleteAfter(RefreshFamily.revoked_at, "revoked"),
    DeleteAfter(Revoked.expires_at, "expired"),
    DeleteAfter(UsedJti.expires_at, "counters"),
)
